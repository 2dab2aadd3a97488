"""The one exception meant for users."""


class InputError(Exception):
    """Bad input or data: one line that says what, where and what to do.

    Any room may raise it; the command line prints it without a traceback and exits with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class LostWorkerError(InputError):
    """A worker lost contact with another one, whose own error says more."""

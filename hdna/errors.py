"""The one exception a user is meant to read."""


class InputError(Exception):
    """The input or the data is wrong: one line that says what, where and what to do.

    Raised by every room; the command line prints it without a traceback and exits with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class LostWorkerError(InputError):
    """A worker waited in vain for another one, whose own error says more."""

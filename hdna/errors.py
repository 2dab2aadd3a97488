"""The one exception meant for users."""

import re

_USER_INFO = re.compile(r"(?<=://)[^/\s@]*@")
"""`user:password@` of a URL, which must not reach a screen, a log or a file."""


class InputError(Exception):
    """Bad input or data: one line that says what, where and what to do.

    Any room may raise it; the command line prints it without a traceback and exits with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(" ".join(message.split())))


class LostWorkerError(InputError):
    """A worker lost contact with another one, whose own error says more."""


def without_secrets(text: str) -> str:
    """`text` with user names and passwords in URLs masked."""
    return _USER_INFO.sub("***@", text)

"""The one exception meant for users."""

import re

_USER_INFO = re.compile(r"(?<=://)[^/\s@]*@")
"""`user:password@` of a URL, which must not reach a screen, a log or a file."""
_MAX_CHARACTERS = 1000
_LAST_CHARACTERS = 300
"""What a shortened line keeps of its end, where the advice is."""


class InputError(Exception):
    """Bad input or data: one line that says what, where and what to do.

    Whatever the message quotes of the input, the line is printable, of at most 1,000 characters, and without secrets.
    Any room may raise it; the command line prints it without a traceback and exits with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_shortened(printable(without_secrets(" ".join(message.split())))))


class LostWorkerError(InputError):
    """A worker lost contact with another one, whose own error says more."""


class LeavingNodeError(LostWorkerError):
    """The workers have saved and ended, because a node of theirs is about to be taken away."""


def without_secrets(text: str) -> str:
    """`text` with user names and passwords in URLs masked."""
    return _USER_INFO.sub("***@", text)


def printable(text: str) -> str:
    """`text` with escapes for control characters, which a terminal would obey, and for what no encoding can write."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shortened(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    return f"{text[: _MAX_CHARACTERS - _LAST_CHARACTERS - 5]} ... {text[-_LAST_CHARACTERS:]}"

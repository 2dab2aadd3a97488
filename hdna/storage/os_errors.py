"""What the operating system said about a file, with what to do about it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hdna.errors import InputError

_ADVICE = {
    errno.ENOSPC: "free space, or choose a place on another disk",
    errno.EDQUOT: "the quota is used up: remove files, or choose another place",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or choose a place that takes larger files",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.ENOENT: "see whether the path is right",
    errno.ENOTDIR: "a part of the path is a file: choose another place",
    errno.EISDIR: "a folder is there: name a file",
    errno.EEXIST: "something is already there: choose another name",
    errno.ENOTEMPTY: "something is already there: choose another name",
    errno.ELOOP: "its symbolic links form a loop: correct them",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk or the network behind it fails: see its logs",
    errno.ESTALE: "the network file system lost it: mount it again",
    errno.ETXTBSY: "another program is using it",
    errno.EINVAL: "see whether the path is right",
}


def explain(where: object, error: OSError) -> str:
    """`where`, what happened and what to do, in one line."""
    what = error.strerror or str(error) or type(error).__name__
    return f"{where}: {what}: {_ADVICE.get(error.errno or 0, 'see whether the path is right')}"


@contextmanager
def os_errors_explained(where: object) -> Iterator[None]:
    """Turn operating-system errors within into an InputError that names `where`; a missing file passes through.

    `where`: the path or URL as the user knows it.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(explain(where, error)) from None

"""Files of this machine: read only if they are files, written so that a power failure takes back nothing committed.

A written file gets a temporary name, is synced, takes its real name, and then its folder is synced: a name that a
reader finds always has its whole content behind it, also after the machine lost power (the commit law).
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

BLOCK_BYTES = 8 << 20
FileVersion = tuple[int, int, int, int]
"""Device, inode, size, and time of the last change in ns."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_UNSYNCABLE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without directories to sync (some network ones) answer."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading. Raises OSError, also for a device, or a pipe that might never be written to."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def file_version(file: BufferedReader) -> FileVersion:
    """What changes when somebody replaces an open file or writes to it."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of some MiB."""
    with open_regular(path) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def size(path: Path) -> int | None:
    """Bytes of the regular file at `path`; None when there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def replace(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file, over any earlier one; a reader sees the old or the new one, never a part."""
    _written(path, blocks, lambda partial: partial.replace(path))


def require_writable(folder: Path) -> None:
    """Raise OSError where no file could be made in a folder, or the folder itself; makes neither."""
    place = folder
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    if not os.access(place, os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(code, os.strerror(code), str(place))


def create(path: Path, blocks: Iterable[bytes]) -> bool:
    """Write a file only if the name is free, and say whether it was."""
    try:
        _written(path, blocks, lambda partial: link(partial, path))
    except FileExistsError:
        return False
    return True


def link(partial: Path, path: Path) -> None:
    """Give a file the name `path`. Raises FileExistsError when it is taken, by a dangling link too."""
    try:
        os.link(partial, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here: an empty file, made only if the name is free, holds it until the rename.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        partial.replace(path)


def list_files(root: Path) -> dict[str, int]:
    """Every regular file below `root`: its path relative to `root`, and its size in bytes. Links are followed."""
    found = {}
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not _leads_up(Path(folder, name))]
        for name in files:
            path = Path(folder, name)
            count = size(path)
            if count is not None:
                found[path.relative_to(root).as_posix()] = count
    return found


def list_level(root: Path) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in `root`, without links that lead up. Raises OSError if it is none."""
    names: list[str] = []
    folders: list[str] = []
    for path in root.iterdir():
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir fails where links form a loop
            names.append(path.name)
        elif not _leads_up(path):
            folders.append(path.name)
    return names, folders


def _leads_up(folder: Path) -> bool:
    """Whether a link leads to a folder that holds it: a walk would never end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def delete(root: Path, names: Iterable[str]) -> None:
    """Remove the named files below `root`, and folders that are empty then; missing files are no error."""
    folders = set()
    for name in names:
        path = root / name
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        if folder.is_dir():
            sync(folder)
    _remove_empty_folders(root)


def _remove_empty_folders(root: Path) -> None:
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
            sync(folder.parent)


def sync_tree(folder: Path) -> None:
    """Make every file and folder below `folder`, and itself, durable."""
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)


def _written(path: Path, blocks: Iterable[bytes], commit: Callable[[Path], object]) -> None:
    if not path.name:  # the root
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        commit(partial)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    sync(path.parent)

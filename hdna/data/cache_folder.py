"""A folder of files shared by all processes of a machine, within a size limit.

    NAME.tar       a finished copy; its access time is when it was last opened
    NAME.partial   a copy in the making, at its final size from the start; locked while its writer lives
    lock           held while space is freed and allocated

A killed process leaves a partial file without a lock, which the next process removes.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path

from hdna.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_POLL_S = 0.1


class Partial:
    """A file in the making: `write` it and `keep` it, unless another process has `finished` it in the meantime."""

    def __init__(self, file: BufferedRandom, final: Path, finished: BufferedReader | None) -> None:
        self.file = file
        self.finished = finished
        self.kept = False
        self._final = final

    def write(self, data: bytes) -> None:
        """Append."""
        self.file.write(data)

    def keep(self) -> BufferedReader:
        """Give the file its name; return it, open for reading from the start."""
        self.file.flush()
        kept = Path(self.file.name).open("rb")  # noqa: SIM115  (before others can remove it)
        Path(self.file.name).rename(self._final)
        self.kept = True
        return kept


class CacheFolder:
    """Finished files by name, and space for new ones by evicting the least recently opened.

    The limit applies to all processes together. A file larger than the limit is still cached, but alone.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes

    def path(self, name: str) -> Path:
        """Path of the finished file, whether or not it exists."""
        return self._folder / f"{name}.tar"

    def opened(self, name: str) -> BufferedReader | None:
        """A finished file, or None when there is none. It stays readable after removal."""
        with self._one_line_errors(name):
            try:
                file = self.path(name).open("rb")
            except FileNotFoundError:
                return None
            with suppress(OSError):  # a pre-filled folder may be read-only
                # Not the modification time: readers take a new one for a change of the content.
                os.utime(file.fileno(), ns=(time.time_ns(), os.fstat(file.fileno()).st_mtime_ns))
            return file

    def discard(self, name: str, file: BufferedReader) -> None:
        """Close a damaged file and remove it, unless another file has taken its name."""
        with file, self._one_line_errors(name), self._locked(), suppress(FileNotFoundError):
            if self.path(name).stat().st_ino == os.fstat(file.fileno()).st_ino:
                self.path(name).unlink()

    @contextmanager
    def reserved(self, name: str, size: int) -> Iterator[Partial]:
        """Reserve `size` bytes for a file; wait for a process that is making the same one.

        Raises InputError when the folder is not writable or the disk is full.
        """
        with self._one_line_errors(name):
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{name}.partial"
            with _locked_file(path) as file:
                partial = Partial(file, self.path(name), finished=self.opened(name))
                try:
                    if partial.finished is None:
                        self._allocate_space(file, size)
                    yield partial
                finally:
                    if not partial.kept:
                        path.unlink()

    def _allocate_space(self, file: BufferedRandom, size: int) -> None:
        while True:
            with self._locked():
                if self._free_space(size, file) or not any(self._partial_sizes(file)):
                    self._allocate(file, size)
                    return
            time.sleep(_POLL_S)  # what others are making can be evicted once finished

    def _free_space(self, needed: int, mine: BufferedRandom | None = None) -> bool:
        """Evict the least recently opened files until `needed` bytes fit; return whether they do."""
        excess = sum(self._partial_sizes(mine)) + needed - self._limit
        finished = self._finished()  # after the partial ones: a file renamed in between is counted twice, not missed
        excess += sum(size for _, size, _ in finished)
        for _, size, path in finished:
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
        return excess <= 0

    def _allocate(self, file: BufferedRandom, size: int) -> None:
        """Allocate the disk space up front, so that a full disk is noticed before anything is fetched."""
        while True:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                return
            except OSError as error:
                if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                    os.ftruncate(file.fileno(), size)
                    return
                finished = self._finished()
                if error.errno not in _FULL or not finished:
                    raise
                finished[0][2].unlink(missing_ok=True)

    def _finished(self) -> list[tuple[float, int, Path]]:
        """When each finished file was last opened, its bytes and its path, oldest first."""
        found = []
        for path in self._folder.glob("*.tar"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_atime, status.st_size, path))
        return sorted(found)

    def _partial_sizes(self, mine: BufferedRandom | None) -> list[int]:
        """Sizes of the files that others are making; files of dead writers are removed."""
        sizes = []
        for path in self._folder.glob("*.partial"):
            if mine is not None and path == Path(mine.name):
                continue
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    sizes.append(path.stat().st_size)
                else:
                    path.unlink()
        return sizes

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _one_line_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InputError(
                f"{self._folder}: shard {name[:12]} cannot be stored: {error.strerror or error}: free space, fix "
                f"permissions, or set XDG_CACHE_HOME to a folder on another disk"
            ) from None


def _locked_file(path: Path) -> BufferedRandom:
    """Create or open the file, empty, once nobody else holds its lock; closing it releases the lock."""
    while True:
        file = open(path, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o644))  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        file.close()  # its last owner renamed or removed it

"""A folder of files that all processes of a machine share, within a limit of bytes.

    NAME.tar       a finished copy; its modification time is when it was last opened
    NAME.partial   one being made, of its final size from the start; locked while its maker lives
    lock           held while room is made and given

A process that is killed leaves a partial file with a free lock, which the next one removes.
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
_LOOK_AGAIN_S = 0.1


class Partial:
    """A file being made: `write` all of it and `keep` it, unless another process has `finished` it meanwhile."""

    def __init__(self, file: BufferedRandom, final: Path, finished: BufferedReader | None) -> None:
        self.file = file
        self.finished = finished
        self.kept = False
        self._final = final

    def write(self, data: bytes) -> None:
        """Append."""
        self.file.write(data)

    def keep(self) -> BufferedReader:
        """Give the file its name; returns it, open to be read from its start."""
        self.file.flush()
        kept = Path(self.file.name).open("rb")  # noqa: SIM115  (before others can remove it)
        Path(self.file.name).rename(self._final)
        self.kept = True
        return kept


class CacheFolder:
    """Finished files by name, and room for new ones: the least recently opened ones go.

    The limit holds for all processes together. Only a file larger than the limit is taken in all the same, alone.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes

    def path(self, name: str) -> Path:
        """Where the finished file lies, if it is there."""
        return self._folder / f"{name}.tar"

    def opened(self, name: str) -> BufferedReader | None:
        """A finished file, or None when there is none. It stays readable when it is removed."""
        with self._said(name):
            try:
                file = self.path(name).open("rb")
            except FileNotFoundError:
                return None
            with suppress(OSError):  # a folder filled beforehand may be read-only
                os.utime(file.fileno())
            return file

    def discard(self, name: str, file: BufferedReader) -> None:
        """Close a damaged file and remove it, unless another one has its name by now."""
        with file, self._said(name), self._locked(), suppress(FileNotFoundError):
            if self.path(name).stat().st_ino == os.fstat(file.fileno()).st_ino:
                self.path(name).unlink()

    @contextmanager
    def reserved(self, name: str, size: int) -> Iterator[Partial]:
        """Room for a file of `size` bytes; waits for a process that is making the same one.

        Raises InputError when the folder cannot be written or the disk is full.
        """
        with self._said(name):
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{name}.partial"
            with _locked_file(path) as file:
                partial = Partial(file, self.path(name), finished=self.opened(name))
                try:
                    if partial.finished is None:
                        self._give_room(file, size)
                    yield partial
                finally:
                    if not partial.kept:
                        path.unlink()

    def _give_room(self, file: BufferedRandom, size: int) -> None:
        while True:
            with self._locked():
                if self._make_room(size, file) or not any(self._partial_sizes(file)):
                    self._allocate(file, size)
                    return
            time.sleep(_LOOK_AGAIN_S)  # what others are making will be finished, and can go then

    def _make_room(self, needed: int, mine: BufferedRandom | None = None) -> bool:
        """Remove what was opened longest ago until `needed` bytes fit; whether they do."""
        excess = sum(self._partial_sizes(mine)) + needed - self._limit
        finished = self._finished()  # after the partial ones: what gets its name meanwhile is counted twice, not missed
        excess += sum(size for _, size, _ in finished)
        for _, size, path in finished:
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
        return excess <= 0

    def _allocate(self, file: BufferedRandom, size: int) -> None:
        """Take the room on the disk at once, so that a full one is known before anything is fetched."""
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
        """When each finished file was last opened, its bytes, its path: longest ago first."""
        found = []
        for path in self._folder.glob("*.tar"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return sorted(found)

    def _partial_sizes(self, mine: BufferedRandom | None) -> list[int]:
        """Bytes of the files that others are making; those whose makers died are removed."""
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
    def _said(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InputError(
                f"{self._folder}: shard {name[:12]} cannot be kept there: {error.strerror or error}: free or permit "
                f"it, or set XDG_CACHE_HOME to a folder on another disk"
            ) from None


def _locked_file(path: Path) -> BufferedRandom:
    """The file of that name, made if need be and empty, once nobody else has it; closing it gives it free."""
    while True:
        file = open(path, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o644))  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        file.close()  # its last owner renamed or removed it

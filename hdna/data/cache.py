"""Shards as verified local files: a local set's own, or copies of a bucket's in a bounded cache.

The cache is a folder that all processes of a machine share. A copy has the shard's sha256 for a name, and gets that
name only once its bytes have been found to have it. Each process looks at them once more when it first opens a copy
that it did not make. Least recently opened copies go first; a process that has a removed file open or mapped goes on
reading it, because the system keeps the bytes until the last one lets go.
"""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from hdna import storage
from hdna.data.cache_folder import CacheFolder
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry, ShardSet
from hdna.storage import retry

CACHE_BYTES = 64 << 30
"""Least recently used copies go when the cache would hold more than this."""


class ShardCache:
    """Opens shards, their size and sha256 verified once per process. Safe to use from several threads.

    `folder` is $XDG_CACHE_HOME/hdna/shards, or ~/.cache/hdna/shards, if None. A limit smaller than one shard holds one.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = CACHE_BYTES) -> None:
        self._folder = CacheFolder(folder or _default_folder(), limit_bytes)
        self._limit = limit_bytes
        self._verified: set[tuple[str, int, int]] = set()  # sha256, device, inode
        self._ahead: dict[str, int] = {}  # sha256 and bytes of shards asked for by prefetch and not opened yet
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, ShardEntry]] = deque()
        self._worker: threading.Thread | None = None

    def open(self, shard_set: ShardSet, shard: ShardEntry) -> BufferedReader:
        """The shard's verified bytes, as a file that stays readable whatever the cache does.

        Raises InputError naming the shard when it is missing, damaged, cannot be had, or finds no room on the disk.
        """
        place = shard_set.place(shard)
        with self._lock:
            self._ahead.pop(shard.sha256, None)
        try:
            if not storage.is_local(place):
                return self._copy(place, shard)
            file = storage.local_path(place).open("rb")
        except FileNotFoundError:
            raise InputError(f"{place}: shard is missing though the manifest lists it: make the set again") from None
        except OSError as error:
            raise InputError(f"{place}: cannot be read: {error.strerror or error}") from None
        fault = self._fault(file, shard)
        if fault:
            file.close()
            raise _damaged(place, fault, shard)
        return file

    def prefetch(self, shard_set: ShardSet, shards: Iterable[ShardEntry]) -> None:
        """Begin to copy shards that will be opened soon, in this order, by a thread in the background.

        No more than half the cache is fetched ahead: what does not fit, and what fails, waits until it is opened.
        """
        for shard in shards:
            place = shard_set.place(shard)
            if storage.is_local(place):
                continue
            with self._lock:
                fits = sum(self._ahead.values()) + shard.bytes <= self._limit // 2
                if not fits or shard.sha256 in self._ahead:
                    continue
                self._ahead[shard.sha256] = shard.bytes
                self._waiting.append((place, shard))
                if self._worker is None:
                    self._worker = threading.Thread(target=self._work, name="shard-prefetch", daemon=True)
                    self._worker.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                place, shard = self._waiting.popleft()
                wanted = shard.sha256 in self._ahead  # not opened meanwhile
            try:
                if wanted:
                    self._copy(place, shard).close()
            except (InputError, FileNotFoundError):
                with self._lock:
                    self._ahead.pop(shard.sha256, None)  # opening it will say what is wrong

    def _copy(self, place: str, shard: ShardEntry) -> BufferedReader:
        """The copy in the cache, made if it is not there."""
        while True:
            file = self._folder.opened(shard.sha256) or self._download(place, shard)
            if not self._fault(file, shard):
                return file
            self._folder.discard(shard.sha256, file)  # the disk lost it since it was verified

    def _download(self, place: str, shard: ShardEntry) -> BufferedReader:
        """A new copy. It is fetched again while its checksum is wrong, because networks change bytes unseen."""
        pauses = retry.RETRY.pauses()
        for turn in range(retry.RETRY.downloads):
            with self._folder.reserved(shard.sha256, shard.bytes) as partial:
                if partial.finished is not None:
                    return partial.finished
                digest, count = hashlib.sha256(), 0
                for part in storage.read_blocks(place):
                    digest.update(part)
                    count += len(part)
                    if count <= shard.bytes:
                        partial.write(part)
                if (count, digest.hexdigest()) == (shard.bytes, shard.sha256):
                    with self._lock:
                        self._verified.add(_identity(partial.file, shard))
                    return partial.keep()
            if turn + 1 < retry.RETRY.downloads:
                time.sleep(next(pauses, 0))
        raise _damaged(place, (count, digest.hexdigest()), shard)

    def _fault(self, file: BufferedReader, shard: ShardEntry) -> tuple[int, str] | None:
        """Size and sha256 of an open shard where they are not the manifest's; looked at once per process."""
        identity = _identity(file, shard)
        with self._lock:
            if identity in self._verified:
                return None
        found = (os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        if found != (shard.bytes, shard.sha256):
            return found
        with self._lock:
            self._verified.add(identity)
        return None


def _identity(file: BufferedIOBase, shard: ShardEntry) -> tuple[str, int, int]:
    """What was verified: a file of the same name may be another by now."""
    status = os.fstat(file.fileno())
    return shard.sha256, status.st_dev, status.st_ino


def _damaged(place: str, found: tuple[int, str], shard: ShardEntry) -> InputError:
    return InputError(
        f"{place}: damaged: {found[0]} bytes, sha256 {found[1][:12]}, but its manifest says "
        f"{shard.bytes} bytes, sha256 {shard.sha256[:12]}: make the set again or copy it again"
    )


def _default_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root).expanduser() / "hdna" / "shards"

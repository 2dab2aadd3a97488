"""Shards as verified local files: a local set's own, or copies from a bucket in a bounded cache.

The cache is a folder shared by all processes of a machine. A copy is named after the shard's sha256, and gets that name
only once its bytes match. A process verifies a copy made by another once, when it first opens it. The least recently
opened copies are evicted first; a process that has a removed file open or mapped can go on reading it, because the
system keeps the bytes until the last reader lets go.
"""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from hdna import storage
from hdna.data.cache_folder import CacheFolder
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_set import ShardSet
from hdna.storage import local, retry
from hdna.storage.os_errors import explain

CACHE_BYTES = 64 << 30
"""The least recently used copies are evicted when the cache would exceed this."""


class ShardCache:
    """Opens shards, verifying size and sha256 once per process. Thread-safe.

    `folder` None: $XDG_CACHE_HOME/hdna/shards, or ~/.cache/hdna/shards. A limit smaller than one shard holds one.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = CACHE_BYTES) -> None:
        self._folder = CacheFolder(folder or _default_folder(), limit_bytes)
        self._limit = limit_bytes
        self._verified: set[tuple[str, local.FileVersion]] = set()  # by sha256
        self._ahead: dict[str, int] = {}  # sha256 and bytes of shards prefetched but not opened yet
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, ShardEntry]] = deque()
        self._worker: threading.Thread | None = None

    def open(self, shard_set: ShardSet, shard: ShardEntry) -> BufferedReader:
        """Open the shard's verified bytes as a file that stays readable whatever the cache does.

        Raises InputError naming the shard when it is missing, damaged or unavailable, or the disk is full.
        """
        url = shard_set.url_of(shard)
        with self._lock:
            self._ahead.pop(shard.sha256, None)
        try:
            if not storage.is_local(url):
                return self._copy(url, shard)
            file = local.open_regular(storage.local_path(url))
        except FileNotFoundError:
            raise InputError(f"{url}: shard is missing, although the manifest lists it: make the set again") from None
        except OSError as error:
            raise InputError(explain(url, error)) from None
        fault = self._fault(file, shard)
        if fault:
            file.close()
            raise _damaged(url, fault, shard)
        return file

    def prefetch(self, shard_set: ShardSet, shards: Iterable[ShardEntry]) -> None:
        """Start copying shards that will be opened soon, in this order, in a background thread.

        At most half the cache is fetched ahead: what does not fit, or fails, waits until it is opened.
        """
        for shard in shards:
            url = shard_set.url_of(shard)
            if storage.is_local(url):
                continue
            with self._lock:
                fits = sum(self._ahead.values()) + shard.bytes <= self._limit // 2
                if not fits or shard.sha256 in self._ahead:
                    continue
                self._ahead[shard.sha256] = shard.bytes
                self._waiting.append((url, shard))
                if self._worker is None:
                    self._worker = threading.Thread(target=self._work, name="shard-prefetch", daemon=True)
                    self._worker.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._worker = None
                    return
                url, shard = self._waiting.popleft()
                wanted = shard.sha256 in self._ahead  # not opened in the meantime
            try:
                if wanted:
                    self._copy(url, shard).close()
            except (InputError, FileNotFoundError):
                with self._lock:
                    self._ahead.pop(shard.sha256, None)  # opening it will report the error

    def _copy(self, url: str, shard: ShardEntry) -> BufferedReader:
        """The cached copy, made if missing."""
        while True:
            file = self._folder.opened(shard.sha256) or self._download(url, shard)
            if not self._fault(file, shard):
                return file
            self._folder.discard(shard.sha256, file)  # damaged on disk since it was verified

    def _download(self, url: str, shard: ShardEntry) -> BufferedReader:
        """Make a new copy, refetching while its checksum is wrong: networks corrupt bytes silently."""
        pauses = retry.RETRY.pauses()
        for attempt in range(retry.RETRY.downloads):
            with self._folder.reserved(shard.sha256, shard.bytes) as partial:
                if partial.finished is not None:
                    return partial.finished
                digest, count = hashlib.sha256(), 0
                for part in storage.read_blocks(url):
                    digest.update(part)
                    count += len(part)
                    if count <= shard.bytes:
                        partial.write(part)
                if (count, digest.hexdigest()) == (shard.bytes, shard.sha256):
                    kept = partial.keep()
                    with self._lock:
                        self._verified.add((shard.sha256, local.file_version(kept)))
                    return kept
            if attempt + 1 < retry.RETRY.downloads:
                time.sleep(next(pauses, 0))
        raise _damaged(url, (count, digest.hexdigest()), shard)

    def _fault(self, file: BufferedReader, shard: ShardEntry) -> tuple[int, str] | None:
        """Size and sha256 of an open shard if they differ from the manifest's; checked once per process."""
        identity = (shard.sha256, local.file_version(file))
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


def _damaged(url: str, found: tuple[int, str], shard: ShardEntry) -> InputError:
    return InputError(
        f"{url}: damaged: {found[0]} bytes, sha256 {found[1][:12]}, but its manifest says "
        f"{shard.bytes} bytes, sha256 {shard.sha256[:12]}: make the set again or copy it again"
    )


def _default_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root).expanduser() / "hdna" / "shards"

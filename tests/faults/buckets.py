"""What is read because a set is in a bucket: copies of its shards, and the claim of its writer."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

from faults.prepared import record, sha256
from faults.sets import make_store
from faults.subject import FETCHED, FETCHED_AGAIN, HARMLESS, REFUSED, Forgeries, Subject
from support.manifests import edit_json
from support.s3 import moto_bucket

from hdna import storage
from hdna.data.cache import ShardCache
from hdna.errors import InputError
from hdna.genome.shard_set import FORMAT, load_shard_set
from hdna.storage.manifest import MANIFEST, FileEntry, describe_folder
from hdna.storage.staging import publish
from hdna.storage.write_claim import CLAIM, claimed
from hdna_prep.shards import write_shards


class InBucket(Subject):
    """Something that depends on a bucket, which has no faults itself."""

    bucket = ""

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        with moto_bucket() as cls.bucket:
            yield cls(folder)


class CachedShard(InBucket):
    """A process opens shards of which an earlier one has made copies."""

    row = "shard cache"

    def make(self) -> None:
        make_store(self.root)
        write_shards([str(self.root / "g.zarr")], f"{self.bucket}/set", window=500)
        self.set = load_shard_set(f"{self.bucket}/set")
        for shard in self.set.shards:
            ShardCache(self.home).open(self.set, shard).close()

    @property
    def home(self) -> Path:
        return self.root / "cache"

    def files(self) -> list[Path]:
        return sorted(self.home.glob("*.tar"))

    def read(self) -> str:
        before = {path.stem: sha256(path) for path in self.files()}
        for shard in self.set.shards:
            with ShardCache(self.home).open(self.set, shard) as file:
                assert file.read() == storage.read(self.set.url_of(shard))
        after = {path.stem: sha256(path) for path in self.files()}
        assert after == {shard.sha256: shard.sha256 for shard in self.set.shards}
        if before == after:
            return HARMLESS
        return FETCHED if len(before) < len(after) else FETCHED_AGAIN

    def forgeries(self) -> Forgeries:
        one, other, _ = self.files()
        return {FETCHED_AGAIN: {"another shard of the set": partial(one.write_bytes, other.read_bytes())}}


class _InterruptedError(Exception):
    """An upload that ends early."""


class Claim(InBucket):
    """The claim of an interrupted upload, to which its writer returns; faults happen to a local copy of it."""

    row = "set in a bucket: `claim.json`"

    def make(self) -> None:
        self.urls = (f"{self.bucket}/{number}" for number in count())
        self.url = next(self.urls)
        (self.root / "files").mkdir()
        (self.root / "files" / "a.tar").write_bytes(record("one", 100))
        with suppress(_InterruptedError), claimed(self.url, FORMAT.noun, {}, self.table()):
            raise _InterruptedError
        self.copy.write_bytes(storage.read(f"{self.url}/{CLAIM}"))

    @property
    def copy(self) -> Path:
        """The claim."""
        return self.root / CLAIM

    def table(self) -> dict[str, FileEntry]:
        """What the set has."""
        return describe_folder(self.root / "files")

    def files(self) -> list[Path]:
        return [self.copy]

    def place(self, path: Path) -> str:
        return f"{self.url}/{CLAIM}"

    def prepare(self) -> None:
        super().prepare()
        self.url = next(self.urls)

    def read(self) -> str:
        if self.copy.exists():
            storage.write(f"{self.url}/{CLAIM}", self.copy.read_bytes())
        try:
            publish(self.root / "files", self.url, FORMAT, {}, self.table())
        except InputError:
            assert storage.list_objects(self.url).keys() == {CLAIM}
            raise
        assert storage.list_objects(self.url).keys() == {"a.tar", MANIFEST}
        return HARMLESS

    def forgeries(self) -> Forgeries:
        another = partial(edit_json, self.copy, lambda body: body.update(sha256="0" * 64))
        return {REFUSED: {"the claim of another set": another}}

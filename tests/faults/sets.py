"""Genome stores and shard sets, read as `prep` and training read them."""

import os
from functools import partial
from pathlib import Path

import google_crc32c
import numcodecs.zstd
import pytest
from faults.prepared import record, records_in
from faults.subject import HARMLESS, ON_OPENING, ON_READING, TAKEN, Forgeries, Subject
from support.manifests import Body, Change, edit_listed, edit_manifest, write_listed
from support.shard_sets import NPY_HEADER_BYTES, TRAIN, Member, member, rewrite_shard

from hdna.data.cache import ShardCache
from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.genome import GenomeStore, Interval
from hdna.genome.shard import SPLITS
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.verify import verify

BASES, WINDOW = 3_000, 200
FRAME_OF_A_TIB = bytes.fromhex("28b52ffd e0 0000000000010000 010000")
"""A zstd frame of one empty block that declares a size (RFC 8878): a decoder would ask for that much memory."""
Windows = list[tuple[bytes, bytes]]
"""Tokens and soft masks."""


def make_store(folder: Path) -> None:
    """A FASTA file g.fa and its store g.zarr."""
    (folder / "g.fa").write_bytes(record("one", BASES))
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))


def name_a_file_elsewhere(body: Body) -> None:
    """A file of the folder above in a manifest's table."""
    body["files"]["../x"] = next(iter(body["files"].values()))


class StoreManifest(Subject):
    """A genome store, opened and read whole."""

    row = "genome store: `manifest.json`"

    def make(self) -> None:
        make_store(self.root)

    @property
    def home(self) -> Path:
        return self.root / "g.zarr"

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.home / "manifest.json"

    def files(self) -> list[Path]:
        return [self.manifest]

    def read(self) -> str:
        self.refusal = ON_OPENING
        store = GenomeStore.open(str(self.home))
        self.refusal = ON_READING
        assert store.read_mask(Interval("one", 0, BASES)).sum() == BASES // 2
        return HARMLESS if (store.assembly, records_in(store)) == self.meaning() else TAKEN

    def meaning(self) -> tuple[str, list[tuple[str, bytes]]]:
        """Assembly and records of the sound store."""
        return "g", [("one of a kind", record("one", BASES).split()[-1])]

    def forgeries(self) -> Forgeries:
        edit = partial(edit_manifest, self.manifest)
        return {
            ON_OPENING: {
                "another assembly": partial(edit, lambda body: body.update(assembly="h")),
                "other bases": partial(edit, lambda body: body.update(bases=BASES + 1)),
                "a file left out": partial(edit, lambda body: body["files"].pop("bases/c/0")),
                "a file elsewhere": partial(edit, name_a_file_elsewhere),
            },
            TAKEN: {"another store": self.rename},
        }

    def edit_attributes(self, change: Change) -> None:
        """Change the attributes, and make every checksum fit."""
        edit_listed(self.manifest, "zarr.json", lambda body: change(body["attributes"]))

    def rename(self) -> None:
        """Another assembly, in both places."""
        self.edit_attributes(lambda said: said.update(assembly="h"))
        edit_manifest(self.manifest, lambda body: body.update(assembly="h"))


class StoreFiles(StoreManifest):
    """The same, with faults to its other files."""

    row = "genome store: `zarr.json`, chunks"

    def files(self) -> list[Path]:
        return sorted(path for path in self.home.rglob("*") if path.is_file() and path != self.manifest)

    def forgeries(self) -> Forgeries:
        edit_array = partial(edit_listed, self.manifest, "bases/zarr.json")
        return {
            ON_OPENING: {
                "other counts": partial(self.edit_attributes, lambda said: said["counts"].update(N=1)),
                "an array of another length": partial(edit_array, lambda body: body.update(shape=[1 << 50])),
            },
            ON_READING: {
                "a chunk that asks for a TiB": partial(self.write_chunk, FRAME_OF_A_TIB),
                "a chunk that is none": partial(write_listed, self.manifest, "bases/c/0", b"ACGT" * 100),
            },
            TAKEN: {"other bases": partial(self.write_chunk, zstd(bytes(1 << 20)))},
        }

    def write_chunk(self, frame: bytes) -> None:
        """Another chunk of bases, with every checksum right."""
        checksum: int = google_crc32c.value(frame)
        write_listed(self.manifest, "bases/c/0", frame + checksum.to_bytes(4, "little"))


def zstd(content: bytes) -> bytes:
    """A frame of it."""
    return bytes(numcodecs.zstd.Zstd(level=5).encode(content))


class SetManifest(Subject):
    """A shard set, loaded and read whole by training's reader."""

    row = "shard set: `manifest.json`"
    flips = 40

    def make(self) -> None:
        make_store(self.root)
        (self.root / "splits.bed").write_text(f"one 0 2000 train\none 2000 2400 valid\none 2400 {BASES} test\n")
        write_shards([str(self.root / "g.zarr")], str(self.home), str(self.root / "splits.bed"), window=WINDOW)
        self.loaded = self.load()
        self.meaning = every_window(self.open())

    @property
    def home(self) -> Path:
        return self.root / "set"

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.home / "manifest.json"

    def files(self) -> list[Path]:
        return [self.manifest]

    def load(self) -> ShardSet:
        """The set as its manifest describes it."""
        return load_shard_set(str(self.home))

    def open(self) -> list[WindowReader]:
        """A reader of each split, that has read nothing."""
        return [WindowReader([self.load()], split, ShardCache()) for split in SPLITS]

    def read(self) -> str:
        self.refusal = ON_OPENING
        readers = self.open()
        self.refusal = ON_READING
        windows = every_window(readers)
        return HARMLESS if (windows, self.load()) == (self.meaning, self.loaded) else self.taken()

    def taken(self) -> str:
        """What becomes of another set that is one."""
        assert verify(str(self.home)) == []
        return TAKEN

    def forgeries(self) -> Forgeries:
        edit = partial(edit_manifest, self.manifest)
        first = first_sample
        return {
            ON_OPENING: {
                "a shorter window": partial(edit, lambda body: body.update(window=WINDOW - 1)),
                "a window left out": partial(edit, lambda body: body["shards"][0]["samples"].pop()),
                "a shard left out": partial(edit, lambda body: body["shards"].pop()),
                "other totals": partial(edit, lambda body: body["totals"]["train"].update(bases=1)),
            },
            ON_READING: {
                "tokens elsewhere": partial(edit, lambda body: first(body).update(offset=first(body)["offset"] + 1)),
                "another crc32c": partial(edit, lambda body: first(body).update(crc32c=1)),
            },
            TAKEN: {"another origin": partial(edit, lambda body: body["provenance"].update(command="made up"))},
        }


def first_sample(body: Body) -> Body:
    """The first window in a manifest."""
    sample: Body = body["shards"][0]["samples"][0]
    return sample


def every_window(readers: list[WindowReader]) -> Windows:
    """Each window whole, split by split."""
    found = []
    for reader in readers:
        for window in range(len(reader)):
            tokens, mask = reader.read(Crop(window, 0, "+"), reader.bases(window))
            found.append((tokens.tobytes(), b"" if mask is None else mask.tobytes()))
    return found


class Tars(SetManifest):
    """The same, with faults to its tars."""

    row = "shard set: tars"
    flips = 20

    def files(self) -> list[Path]:
        return sorted(self.home.glob("*.tar"))

    def taken(self) -> str:
        (problem,) = verify(str(self.home))
        assert "counts of train" in problem
        return TAKEN

    def forgeries(self) -> Forgeries:
        rewrite = partial(rewrite_shard, self.home)
        return {
            ON_READING: {
                "a token that is none": partial(rewrite, partial(put_first_token, 12)),
                "another window's place": partial(rewrite, move_first_window),
                "a member missing": partial(rewrite, list.pop),
                "no tar": partial(write_listed, self.manifest, TRAIN, b"x" * self.loaded.shards[0].bytes),
            },
            TAKEN: {"another base": partial(rewrite, change_first_base)},
        }


def put_first_token(token: int, members: list[Member]) -> None:
    """Another first token of the first window."""
    info, data = members[1]
    members[1] = member(info.name, data[:NPY_HEADER_BYTES] + bytes([token]) + data[NPY_HEADER_BYTES + 1 :])


def change_first_base(members: list[Member]) -> None:
    """C for A, and A for anything else."""
    first = members[1][1][NPY_HEADER_BYTES]
    put_first_token(8 if first == 7 else 7, members)


def move_first_window(members: list[Member]) -> None:
    """Another start in its metadata."""
    info, data = members[0]
    members[0] = member(info.name, data.replace(b'"start": ', b'"start": 1'))


class SetIndex(SetManifest):
    """A large set, with faults to its index."""

    row = "large shard set: `lengths.npy`, parts"
    flips = 30

    def make(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hdna_prep.shards._MAX_WINDOWS_IN_MANIFEST", 0)
            super().make()

    def files(self) -> list[Path]:
        return [self.home / "lengths.npy", *sorted(self.home.glob("*-*.json"))]

    def forgeries(self) -> Forgeries:
        edit = partial(edit_listed, self.manifest, "train-000000.json")
        return {
            ON_OPENING: {
                "lengths that are none": partial(write_listed, self.manifest, "lengths.npy", b"\x80\x04" * 100),
                "more windows": partial(
                    edit_manifest, self.manifest, lambda body: body["shards"][0].update(windows=1 << 40)
                ),
            },
            ON_READING: {
                "a window left out": partial(edit, lambda samples: samples.pop()),
                "tokens elsewhere": partial(edit, lambda samples: samples[0].update(offset=1)),
                "another crc32c": partial(edit, lambda samples: samples[0].update(crc32c=1)),
            },
            TAKEN: {
                "another origin": partial(
                    edit_manifest, self.manifest, lambda body: body["provenance"].update(command="made up")
                )
            },
        }


class TarsInUse(SetManifest):
    """Readers that have read each window once, and a tar that changes under them; the disk gives it no new time."""

    row = "shard set: a tar in use"

    def files(self) -> list[Path]:
        return [self.home / TRAIN]

    def prepare(self) -> None:
        super().prepare()
        self.readers = self.open()
        every_window(self.readers)
        status = (self.home / TRAIN).stat()
        self.times = status.st_atime_ns, status.st_mtime_ns

    def read(self) -> str:
        if (self.home / TRAIN).exists():
            os.utime(self.home / TRAIN, ns=self.times)
        self.refusal = ON_READING
        assert every_window(self.readers) == self.meaning
        return HARMLESS

    def forgeries(self) -> Forgeries:
        return {
            ON_READING: {"another base": partial(rewrite_shard, self.home, change_first_base)},
            HARMLESS: {"another file under its name": self.replace},
        }

    def replace(self) -> None:
        """By a file that was written elsewhere."""
        (self.root / "other").write_bytes(b"x" * 20_480)
        (self.root / "other").rename(self.home / TRAIN)

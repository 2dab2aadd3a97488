"""What preparing data reads: FASTA and BED files, and what an interrupted encode left."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import pytest
from faults.subject import ENCODED_AGAIN, HARMLESS, RECORDED, REFUSED, TAKEN, Forgeries, Subject
from support.fasta_files import BGZIP_END, bgzip_block
from support.files import bytes_of
from support.manifests import edit_json

from hdna.genome import GenomeStore, Interval, arrays
from hdna.genome.shard_set import load_shard_set
from hdna_prep import segments
from hdna_prep.encode import encode_genome
from hdna_prep.pool import InThisProcess
from hdna_prep.shards import write_shards

P = ParamSpec("P")
T = TypeVar("T")
Records = list[tuple[str, bytes]]
"""Headers and letters."""


def letters(count: int, seed: int = 3) -> bytes:
    """A sequence with N, an ambiguity code and a soft-masked stretch."""
    drawn = np.random.default_rng(seed).choice(np.frombuffer(b"ACGT", np.uint8), count)
    drawn[count // 4 : count // 3], drawn[5] = ord("N"), ord("R")
    drawn[count // 2 :] |= 0x20
    return drawn.tobytes()


def record(name: str, count: int, seed: int = 3) -> bytes:
    """A FASTA record of one line."""
    return b">%b of a kind\n%b\n" % (name.encode(), letters(count, seed))


def records_of(text: bytes) -> Records:
    """The records of a FASTA text, by the format's definition."""
    parts = [part.partition(b"\n") for part in text.removeprefix(b">").split(b"\n>")]
    return [(header.decode(), sequence.replace(b"\n", b"")) for header, _, sequence in parts]


def records_in(store: GenomeStore) -> Records:
    """What a store has of each contig."""
    sequences = [store.read_ascii(Interval(name, 0, length)) for name, length in store.contigs.items()]
    return list(zip(store.headers, sequences, strict=True))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Fasta(Subject):
    """A plain FASTA file, encoded."""

    row = "FASTA"

    def make(self) -> None:
        (self.root / "g.fa").write_bytes(record("one", 60) + record("two", 60))

    def files(self) -> list[Path]:
        return [self.root / "g.fa"]

    def texts(self) -> list[bytes]:
        """What is in the files."""
        return [path.read_bytes() for path in self.files()]

    def read(self) -> str:
        out = self.root / "g.zarr"
        encode_genome([str(path) for path in self.files()], str(out))
        store = GenomeStore.open(str(out))
        found = records_in(store)
        assert found == [record for text in self.texts() for record in records_of(text)]
        assert [source.sha256 for source in store.attributes.sources] == [sha256(path) for path in self.files()]
        return HARMLESS if found == [(f"{name} of a kind", letters(60)) for name in ("one", "two")] else RECORDED

    def forgeries(self) -> Forgeries:
        path = self.root / "g.fa"
        return {
            RECORDED: {
                "another sequence": partial(path.write_bytes, record("one", 60, 4)),
                "a path and a tag for a name": partial(path.write_bytes, record("../../<script>", 60)),
            }
        }


class GzipFasta(Fasta):
    """A gzip file of two members, each a half of it, as `cat` makes them; and a file of bgzip."""

    row = "FASTA, gzip or bgzip"

    def make(self) -> None:
        one, two = self.files()
        one.write_bytes(b"".join(gzip.compress(half, compresslevel=0, mtime=1) for half in halves(record("one", 60))))
        two.write_bytes(b"".join(bgzip_block(half) for half in halves(record("two", 60))) + BGZIP_END)

    def files(self) -> list[Path]:
        return [self.root / "one.fa.gz", self.root / "two.fa.gz"]

    def texts(self) -> list[bytes]:
        return [gzip.decompress(data) for data in super().texts()]

    def forgeries(self) -> Forgeries:
        one, _ = self.files()
        return {RECORDED: {"another sequence": partial(one.write_bytes, gzip.compress(record("one", 60, 4)))}}


def halves(text: bytes) -> tuple[bytes, bytes]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


STRETCHES = ("one 600 700 train", "one 1000 2000 train", "one 2000 2400 valid", "one 2400 3000 test")


class Bed(Subject):
    """A BED file of splits, from which a shard set is made."""

    row = "BED of splits"
    flips = 40

    def make(self) -> None:
        (self.root / "g.fa").write_bytes(record("one", 3_000))
        encode_genome([str(self.root / "g.fa")], str(self.root / "g.zarr"))
        self.bed.write_text("".join(f"{line}\n" for line in ("# made up", *STRETCHES)))

    @property
    def bed(self) -> Path:
        """The file."""
        return self.root / "splits.bed"

    def files(self) -> list[Path]:
        return [self.bed]

    def read(self) -> str:
        write_shards([str(self.root / "g.zarr")], str(self.root / "set"), str(self.bed), window=200)
        made = load_shard_set(str(self.root / "set"))
        assert made.provenance.splits == {"bed_sha256": sha256(self.bed)}
        bases = [made.totals[split].bases for split in ("train", "valid", "test")]
        return HARMLESS if bases == [1100, 400, 600] else RECORDED

    def forgeries(self) -> Forgeries:
        write = self.bed.write_text
        return {
            RECORDED: {"other splits": partial(write, "one 0 1000 train\none 1000 3000 valid\n")},
            REFUSED: {
                "a base in two splits": partial(write, "one 0 1000 train\none 999 3000 valid\n"),
                "a contig that is a path": partial(write, "../one 0 1000 train\n"),
            },
        }


class InterruptedEncode(Subject):
    """What an interrupted `hdna prep genome` left: the same command goes on from there."""

    row = "interrupted `prep genome`: records, columns, chunks"
    flips = 9

    def make(self) -> None:
        (self.root / "g.fa").write_bytes(record("one", SEGMENT_BASES * FINISHED + 900))
        with small_segments():
            encode_genome([str(self.root / "g.fa")], str(self.root / "whole.zarr"))
            with suppress(KeyboardInterrupt):
                self.encode(_InterruptedPool())

    def encode(self, pool: InThisProcess) -> int:
        """Encode; return the bases reused."""
        return encode_genome([str(self.root / "g.fa")], str(self.root / "g.zarr"), pool=pool).reused_bases

    @property
    def left(self) -> Path:
        """The folder with finished segments."""
        (folder,) = self.root.glob(".g.zarr.*.partial")
        return folder

    def files(self) -> list[Path]:
        records = self.left / "segments"
        return [records / "000000.json", records / "000001.columns", self.left / "store" / "bases" / "c" / "1"]

    def read(self) -> str:
        with small_segments():
            reused = self.encode(InThisProcess())
        assert all(path.is_symlink() for path in self.root.glob(".*"))
        if bytes_of(self.root / "g.zarr") != bytes_of(self.root / "whole.zarr"):
            return TAKEN
        return HARMLESS if reused == SEGMENT_BASES * FINISHED else ENCODED_AGAIN

    def forgeries(self) -> Forgeries:
        return {
            TAKEN: {"other bases": self.exchange_chunks},
            ENCODED_AGAIN: {
                "columns that are none": partial(self.write_columns, b"{}\n"),
                "counts that are a text": partial(self.write_columns, b'{"bases": 9, "counts": "x", "sizes": []}\n'),
                "a folder behind a link": self.link_away,
            },
        }

    def exchange_chunks(self) -> None:
        """A chunk in the place of another one, and a record that says so."""
        chunks = self.left / "store" / "bases" / "c"
        (chunks / "1").write_bytes((chunks / "0").read_bytes())
        self.edit_record(0, "store/bases/c/1", chunks / "1")

    def write_columns(self, data: bytes) -> None:
        """Other columns of a segment, and a record that says so."""
        columns = self.left / "segments" / "000001.columns"
        columns.write_bytes(data)
        self.edit_record(1, "segments/000001.columns", columns)

    def edit_record(self, segment: int, name: str, path: Path) -> None:
        """Make a segment's record fit a file."""
        entry = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        edit_json(self.left / "segments" / f"{segment:06d}.json", lambda body: body["files"].update({name: entry}))

    def link_away(self) -> None:
        """The folder somewhere else."""
        left = self.left
        left.rename(self.root / "theirs")
        left.symlink_to(self.root / "theirs")


CHUNK_BYTES, CHUNKS, FINISHED = 256, 2, 2
SEGMENT_BASES = CHUNK_BYTES * CHUNKS * 4


@contextmanager
def small_segments() -> Iterator[None]:
    """Segments of two small chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_BYTES", CHUNK_BYTES)
        patch.setattr(segments, "CHUNKS_PER_SEGMENT", CHUNKS)
        yield


class _InterruptedPool(InThisProcess):
    """Ctrl-C comes when some segments are finished."""

    submitted = 0

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        if self.submitted == FINISHED:
            raise KeyboardInterrupt
        self.submitted += 1
        return super().submit(function, *args, **kwargs)

"""The lossless law: FASTA → store → FASTA gives back every name, description, base, IUPAC code and letter case."""

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdna.genome import GenomeStore, Interval, arrays
from hdna_prep import segments
from hdna_prep.encode import encode_genome, write_fasta
from hdna_prep.pool import Pool, processes

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = (
    "human_chr2_2.3Mb_hg38/chr2_1-2333275.fa.gz",
    "human_chr20_chr21_400kb_hg19/human_g1k_v37.20.21.10M-10M200k.fasta",
    "yeast_chrIV/sacCer3.fa",
    "celegans_1Mb/ce.fa",
)
Records = list[tuple[bytes, bytes]]


def independent_records(data: bytes) -> Records:
    """A FASTA reader that shares nothing with ours: header line and sequence of every record."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    records: Records = []
    for chunk in (b"\n" + data.replace(b"\r\n", b"\n")).split(b"\n>")[1:]:
        header, _, body = chunk.partition(b"\n")
        records.append((header, body.replace(b"\n", b"")))
    return records


def there_and_back(data: bytes, folder: Path, pool: Pool | None = None) -> Records:
    (folder / "in.fa").write_bytes(data)
    encode_genome([str(folder / "in.fa")], str(folder / "s.zarr"), pool=pool)
    write_fasta(str(folder / "s.zarr"), str(folder / "out.fa"))
    return independent_records((folder / "out.fa").read_bytes())


# A header may hold anything but a line end or NUL; its first word, the name, is made unique by a number.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=30)
RUNS = st.lists(
    st.tuples(st.sampled_from("ACGTacgtNnRYSWKMBDHVryswkmbdhvUu"), st.integers(1, 12)), min_size=1, max_size=40
)


@st.composite
def fasta_files(draw: st.DrawFn) -> bytes:
    """Any names and descriptions, cases, codes and runs; LF, CRLF or both; any line widths; empty lines anywhere."""
    ends = st.sampled_from(draw(st.sampled_from([[b"\n"], [b"\r\n"], [b"\n", b"\r\n"]])))
    out = draw(st.sampled_from([b"", b"\n", b"\r\n\r\n"]))
    for number in range(draw(st.integers(1, 5))):
        out += f">c{number}{draw(TEXT)}".encode() + draw(ends) + draw(st.sampled_from([b"", b"\n", b"\r\n"]))
        sequence = "".join(letter * length for letter, length in draw(RUNS)).encode()
        width = draw(st.integers(1, 70))
        for start in range(0, len(sequence), width):
            out += sequence[start : start + width] + draw(ends) * draw(st.integers(1, 2))
    return out.rstrip(b"\r\n") if draw(st.booleans()) else out


@pytest.fixture(scope="module")
def two_processes() -> Iterator[Pool]:
    with processes(2) as pool:
        yield pool


@settings(max_examples=60, deadline=None)
@given(data=fasta_files())
def test_any_fasta_comes_back(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert there_and_back(data, Path(folder)) == independent_records(data)


@settings(max_examples=60, deadline=None)
@given(data=fasta_files(), chunk_bytes=st.sampled_from([16, 64]), chunks=st.integers(1, 3), parallel=st.booleans())
def test_any_fasta_comes_back_from_many_segments(
    data: bytes, chunk_bytes: int, chunks: int, parallel: bool, two_processes: Pool
) -> None:
    """Segments of 64 to 768 bases: contigs, runs and codes lie across their borders; one worker and two."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(segments, "CHUNKS_PER_SEGMENT", chunks)
        found = there_and_back(data, Path(folder), two_processes if parallel else None)
        assert found == independent_records(data)


@settings(max_examples=25, deadline=None)
@given(data=fasta_files(), where=st.data())
def test_any_interval_reads_as_the_fasta_says(data: bytes, where: st.DataObject) -> None:
    """Letters, mask and tokens of a random interval, on both strands, against slices of the independent records."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.fa").write_bytes(data)
        encode_genome([f"{folder}/in.fa"], f"{folder}/s.zarr")
        store = GenomeStore.open(f"{folder}/s.zarr")
        records = independent_records(data)
        index = where.draw(st.integers(0, len(records) - 1))
        name, length = list(store.contigs.items())[index]
        sequence = records[index][1].decode()
        assert length == len(sequence)
        start = where.draw(st.integers(0, length))
        end = where.draw(st.integers(start, length))
        piece = sequence[start:end]
        tokens = [{"A": 7, "C": 8, "G": 9, "T": 10, "U": 10, "N": 11}.get(letter, 6) for letter in piece.upper()]
        assert store.read_ascii(Interval(name, start, end)).decode() == piece
        assert store.read_mask(Interval(name, start, end)).tolist() == [letter.islower() for letter in piece]
        assert store.read(Interval(name, start, end)).tolist() == tokens
        other = [{7: 10, 8: 9, 9: 8, 10: 7}.get(token, token) for token in reversed(tokens)]
        assert store.read(Interval(name, start, end, "-")).tolist() == other
        assert store.count_unknown(Interval(name, start, end)) == sum(letter not in "ACGTacgt" for letter in piece)


@pytest.mark.parametrize("name", REAL)
def test_real_genomes_come_back(name: str, tmp_path: Path) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"../shared/data/{name} is not here")
    data = (DATA / name).read_bytes()
    assert there_and_back(data, tmp_path) == independent_records(data)


def test_blocks_of_the_reader_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same records whatever the block length: a header, a CRLF and a line all straddle borders."""
    data = b"\r\n>a one\r\nACGTN\r\nac\r\n\r\n>b\r\nRYKU\r\n"
    for block in range(1, 12):
        monkeypatch.setattr("hdna_prep.source.BLOCK_BYTES", block)
        folder = tmp_path / str(block)
        folder.mkdir()
        assert there_and_back(data, folder) == [(b"a one", b"ACGTNac"), (b"b", b"RYKU")]


def test_chunks_and_batches_join_seamlessly(tmp_path: Path) -> None:
    """A genome of several chunks (4 Mi bases each), with contigs, N runs and case across the borders."""
    chunk = 1 << 22
    long = b"ACGGT" * (chunk // 5) + b"n" * 50 + b"acgtt" * (chunk // 5) + b"NNNRrN" + b"G" * 7
    data = b">first with words\n" + long + b"\n>second\n" + b"T" * 3 + b"\n>third\n" + b"N" * chunk + b"\n"
    assert there_and_back(data, tmp_path) == independent_records(data)

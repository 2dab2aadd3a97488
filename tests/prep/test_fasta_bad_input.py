"""Bad FASTA is refused with file:line:column and what to do; nothing half-written is left."""

import gzip
from pathlib import Path

import pytest
from support.fasta_files import BGZIP_END, assert_refused, bgzip_block
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna.errors import InputError
from hdna_prep.encode import encode_genome

GOOD = b">a\nACGT\n"
PACKED = gzip.compress(GOOD * 400, mtime=0)
BAD = [
    ("empty file", b"", ": empty", "no FASTA record"),
    ("blank lines only", b"\n\r\n\n", ": empty", "no FASTA record"),
    ("no header", b"ACGT\nACGT\n", ":1:1:", "no header"),
    ("text before the header", b"\n\n  hello\n>a\nACGT\n", ":3:1:", "no header"),
    ("HTML", b"<!DOCTYPE html>\n<html></html>\n", ":1:1:", "HTML"),
    ("FASTQ", b"@read1\nACGT\n+\nIIII\n", ":1:1:", "FASTQ"),
    ("NUL in a sequence", b">a\nACGT\nAC\0T\n", ":3:3:", "NUL"),
    ("NUL at the start", b"\0\0\0\0", ":1:1:", "NUL"),
    ("NUL in a header", b">a\0b\nACGT\n", ":1:3:", "NUL"),
    ("CR-only line ends", b">a\rACGT\rACGT\r", ":1:3:", "carriage return"),
    ("CR within a sequence", b">a\nAC\rGT\n", ":2:3:", "carriage return"),
    ("a last line that ends in CR", b">a\nACGT\r", ":2:5:", "carriage return"),
    ("duplicate names", b">a x\nACGT\n>b\nAC\n>a y\nACGT\n", ":5:2:", "duplicate name 'a'"),
    ("empty name", b">\nACGT\n", ":1:2:", "empty name"),
    ("space before the name", b"> a\nACGT\n", ":1:2:", "empty name"),
    ("empty record", b">a\nACGT\n>b\n>c\nACGT\n", ":3:1:", "'b' has no sequence"),
    ("empty last record", b">a\nACGT\n>b\n\n\n", ":3:1:", "'b' has no sequence"),
    ("header without a line end", b">a\nACGT\n>b", ":3:1:", "'b' has no sequence"),
    ("protein", b">sp|P1\nMKVHSDAWLLEF\n", ":2:9:", "protein"),
    ("gap", b">a\nACGT\nACG--T\n", ":3:4:", "gap"),
    ("stop", b">a\nACGT*\n", ":2:5:", "protein"),
    ("dot", b">a\nAC.GT\n", ":2:3:", "gap"),
    ("space within a line", b">a\nACGT ACGT\n", ":2:5:", "white space"),
    ("trailing tab", b">a\nACGT\t\n", ":2:5:", "white space"),
    ("digits", b">a\n1 ACGT\n", ":2:1:", "not a nucleotide code"),
    ("a header within a line", b">a\nACGT>b\nACGT\n", ":2:5:", "line break is missing"),
    ("header not UTF-8", b">a \xff\xfe\nACGT\n", ":1:4:", "UTF-8"),
    ("high byte in a sequence", b">a\nAC\xe9T\n", ":2:3:", "0xe9"),
    ("byte order mark", b"\xef\xbb\xbf>a\nACGT\n", ":1:1:", "byte order mark"),
    ("UTF-16", ">a\nACGT\n".encode("utf-16"), ":1:1:", "UTF-16"),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", ":1:1:", "git lfs pull"),
    ("GenBank", b"LOCUS       X\n", ":1:1:", "GenBank"),
    ("endless header", b">" + b"x" * 70_000, ":1:1:", "longer than 64 KiB"),
    ("zip", b"PK\x03\x04rest", ":1:1: is a zip", "decompress"),
    ("truncated gzip", PACKED[:-20], ": truncated gzip", "again"),
    ("gzip cut in its header", PACKED[:5], ": truncated gzip", "again"),
    ("garbage after gzip", gzip.compress(GOOD) + b"garbage here", ": trailing garbage", "again"),
    ("damaged gzip", PACKED[:20] + b"\xff\xff\xff" + PACKED[23:], ": damaged gzip", "again"),
    ("bgzip cut between two blocks", bgzip_block(b">a\nAC\n") + bgzip_block(b"GT\n"), ": truncated gzip", "again"),
    ("bad letter inside gzip", gzip.compress(b">a\nACGT\nACZT\n"), ":3:3:", "protein"),
]


@pytest.mark.parametrize(("data", "where", "what"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_fasta_is_refused_with_place_and_reason(data: bytes, where: str, what: str, tmp_path: Path) -> None:
    assert_refused(data, where, what, tmp_path)


@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_place_does_not_depend_on_the_block_length(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdna_prep.source.BLOCK_BYTES", block)
    for name, data, where, what in BAD[:24]:
        fasta = tmp_path / f"{name}.fa"
        fasta.write_bytes(data)
        with pytest.raises(InputError) as error:
            encode_genome([str(fasta)], str(tmp_path / "out.zarr"))
        assert str(error.value).startswith(f"{fasta}{where}"), name
        assert what in str(error.value), name


def test_bgzip_of_several_blocks_is_read(tmp_path: Path) -> None:
    (tmp_path / "g.anything").write_bytes(bgzip_block(b">a\nAC") + bgzip_block(b"GT\n") + BGZIP_END)
    assert encode_genome([str(tmp_path / "g.anything")], str(tmp_path / "s.zarr")).bases == 4


def test_gzip_bomb_is_read_in_small_pieces(tmp_path: Path) -> None:
    """32 MB of zero bytes from 32 KB: refused at the first bad byte."""
    (tmp_path / "g.fa").write_bytes(gzip.compress(b">a\n" + bytes(32_000_000)))
    with pytest.raises(InputError, match=":2:1: NUL"):
        encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "s.zarr"))


def test_names_repeated_across_files_are_refused_with_both_places(tmp_path: Path) -> None:
    for name in ("one.fa", "two.fa"):
        (tmp_path / name).write_bytes(GOOD)
    with pytest.raises(InputError) as error:
        encode_genome([str(tmp_path / "one.fa"), str(tmp_path / "two.fa")], str(tmp_path / "s.zarr"))
    assert "two.fa:1:2: duplicate name 'a', already at" in str(error.value)
    assert "one.fa:1:" in str(error.value)


@pytest.mark.parametrize(
    ("target", "what"), [(".", "is a directory"), ("missing.fa", "no such file"), ("pipe:cat x", "not supported")]
)
def test_paths_that_are_not_files_are_refused_in_one_line(target: str, what: str, tmp_path: Path) -> None:
    place = target if ":" in target else str(tmp_path / target)
    result = CliRunner().invoke(app, ["genome", place, "--out", str(tmp_path / "s.zarr")])
    assert isinstance(result.exception, InputError)
    assert what in str(result.exception)
    assert "\n" not in str(result.exception)
    assert list(tmp_path.iterdir()) == []

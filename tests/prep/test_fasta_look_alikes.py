"""What a biologist's disk holds in place of FASTA: each is refused with file:line:column and a name for what it is."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fasta_files import BGZIP_END, assert_refused, bgzip_block

from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna_prep.encode import encode_genome

SAM = b"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:4\nr1\t0\tchr1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
GENBANK = b"LOCUS       SCU49845     5028 bp    DNA\nORIGIN\n        1 gatcctccat\n//\n"
EMBL = b"ID   X56734; SV 1; linear; mRNA; STD; PLN; 1859 BP.\nSQ   Sequence 1859 BP;\n     aaacaaacca\n//\n"


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("g.fa", ">a\nACGT\n")
    else:
        with tarfile.open(fileobj=file, mode="w:gz" if kind == "tar.gz" else "w") as tar:
            info = tarfile.TarInfo("g.fa")
            info.size = 8
            tar.addfile(info, io.BytesIO(b">a\nACGT\n"))
    return file.getvalue()


BAD = [
    ("GenBank", GENBANK, ":1:1:", "GenBank"),
    ("EMBL", EMBL, ":1:1:", "EMBL"),
    ("GenBank's sequence under a header", b">a\n        1 gatcctccat atacaacggt\n", ":2:1:", "white space"),
    ("SAM", SAM, ":1:1:", "SAM"),
    ("BAM", bgzip_block(b"BAM\1" + bytes(8)) + BGZIP_END, ":1:1:", "BAM"),
    ("CRAM", b"CRAM\x03\x00" + bytes(20), ":1:1:", "CRAM"),
    ("GFF", b"##gff-version 3\nchr1\t.\tgene\t1\t9\t.\t+\t.\tID=g\n", ":1:1:", "GFF"),
    ("GFF with its FASTA at the end", b"##gff-version 3\n##FASTA\n>a\nACGT\n", ":1:1:", "GFF"),
    ("VCF", b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", ":1:1:", "VCF"),
    ("BED", b"chr1\t0\t100\ttrain\n", ":1:1:", "no header"),
    ("Clustal", b"CLUSTAL W (1.82)\n\na  ACGT\n", ":1:1:", "Clustal"),
    ("NEXUS", b"#NEXUS\nBEGIN DATA;\n", ":1:1:", "NEXUS"),
    ("PHYLIP", b" 2 4\na ACGT\nb ACGA\n", ":1:1:", "no header"),
    ("RTF", b"{\\rtf1\\ansi >a\\par ACGT}", ":1:1:", "RTF"),
    ("PDF", b"%PDF-1.5\n%\xe2\xe3\n", ":1:1:", "PDF"),
    ("JSON error", b'{"error": "not found"}\n', ":1:1:", "JSON"),
    ("XML error page", b"\n<?xml version='1.0'?><Error>NoSuchKey</Error>\n", ":2:1:", "error page"),
    ("HTML inside a file that broke off", b">a\nACGT\n<html>504</html>\n", ":3:1:", "'<'"),
    ("UTF-16 without a mark", ">a\nACGT\n".encode("utf-16-le"), ":1:2:", "NUL"),
    ("UTF-16, big end first", b"\xfe\xff" + ">a\nACGT\n".encode("utf-16-be"), ":1:1:", "UTF-16"),
    ("byte order mark of a joined file", b">a\nACGT\n\xef\xbb\xbf>b\nACGT\n", ":3:1:", "0xef"),
    ("hard space", b">a\nAC\xc2\xa0GT\n", ":2:3:", "0xc2"),
    ("'>' alone", b">", ":1:2:", "empty name"),
    ("'>>'", b">a\nAC\n>>b\nACGT\n", ":3:2:", "'>>'"),
    ("a tab for a name", b">\t\nACGT\n", ":1:2:", "empty name"),
    ("a tab before the name", b">\tchr1\nACGT\n", ":1:2:", "empty name"),
    ("comments only", b"; written by hand\n; in 1985\n", ":1:1:", "comment"),
    ("a comment after the header", b">a\n; note\nACGT\n", ":2:1:", "comment"),
    ("quality lines", b">r1\nACGT\n+\nIIII\n", ":3:1:", "FASTQ"),
    ("X for masked", b">a\nACGTXXXX\n", ":2:5:", "write N"),
    ("question mark", b">a\nAC?T\n", ":2:3:", "'?'"),
    ("position numbers at line ends", b">a\nACGTACGT 8\nACGT 12\n", ":2:9:", "white space"),
    ("position numbers without spaces", b">a\nACGT4\n", ":2:5:", "'4'"),
    ("line ends doubled on the way", b">a\r\nACGT\r\r\nACGT\r\n", ":2:5:", "carriage return"),
    ("one CR among line feeds", b">a\nACGT\nAC\rGT\nACGT\n", ":3:3:", "carriage return"),
    ("DOS end of file", b">a\r\nACGT\r\n\x1a", ":3:1:", "0x1a"),
    ("form feed", b">a\nACGT\n\x0cACGT\n", ":3:1:", "white space"),
    ("block of NUL after a crash", b">a\nACGT\n" + bytes(4096), ":3:1:", "NUL"),
    ("macOS's ._ file", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", ":1:1:", "NUL"),
    ("tar", archive("tar"), ":1:1:", "tar archive"),
    ("gzip of a tar", archive("tar.gz"), ":1:1:", "tar archive"),
    ("zip", archive("zip"), ":1:1:", "zip"),
    ("xz", lzma.compress(b">a\nACGT\n"), ":1:1:", "xz"),
    ("2bit", b"\x43\x27\x41\x1a" + bytes(12), ":1:1:", "twoBitToFa"),
    ("gzip within gzip", gzip.compress(gzip.compress(b">a\nACGT\n")), ":1:1:", "gzipped twice"),
]


@pytest.mark.parametrize(("data", "where", "what"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_look_alikes_are_refused_with_place_and_name(data: bytes, where: str, what: str, tmp_path: Path) -> None:
    assert_refused(data, where, what, tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(b">a\nAC\n") + gzip.compress(b">b\nGT\n") + b"\0garbage", "trailing garbage"),
        (gzip.compress(b">a\nAC\n") + gzip.compress(b">b\nGT\n")[:-6], "truncated gzip"),
        (bgzip_block(b">a\nACGT\n") + BGZIP_END[:-5], "truncated gzip"),
        (bgzip_block(b">a\nACGT\n") * 3, "truncated gzip"),
        (gzip.compress(b">a\nACGT\n")[:-8] + bytes(8), "damaged gzip"),
    ],
    ids=["garbage after two members", "second member cut", "end block cut", "no end block", "wrong crc"],
)
def test_damaged_compression_is_refused_and_named(data: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "g.fa.gz").write_bytes(data)
    with pytest.raises(InputError, match=rf"g\.fa\.gz: {what}"):
        encode_genome([str(tmp_path / "g.fa.gz")], str(tmp_path / "out.zarr"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.fa.gz"]


GOOD = [
    ("RNA", b">a\nACGUacgu\n", [b"ACGUacgu"]),
    ("CRLF and LF mixed", b">a\r\nACGT\nAC\r\n\n>b\nGT\r\n", [b"ACGTAC", b"GT"]),
    ("no last line end", b">a\nACGT", [b"ACGT"]),
    ("several gzip members", gzip.compress(b">a\nAC") + gzip.compress(b"GT\n>b\nN\n"), [b"ACGT", b"N"]),
    ("'>' within a description", b">a 3'->5' >x\nACGT\n", [b"ACGT"]),
]


@pytest.mark.parametrize(("data", "sequences"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_unusual_but_valid_fasta_is_read(data: bytes, sequences: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(data)
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "s.zarr"))
    store = GenomeStore.open(str(tmp_path / "s.zarr"))
    assert [store.read_ascii(Interval(name, 0, size)) for name, size in store.contigs.items()] == sequences


def test_u_reads_as_t_and_comes_back_as_u(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(b">a\nAUT\n")
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "s.zarr"))
    store = GenomeStore.open(str(tmp_path / "s.zarr"))
    assert store.read(Interval("a", 0, 3)).tolist() == [7, 10, 10]
    assert store.read_ascii(Interval("a", 0, 3)) == b"AUT"


def test_one_line_of_100_million_bases_comes_back(tmp_path: Path) -> None:
    line = b"ACGTN" * 20_000_000
    (tmp_path / "g.fa").write_bytes(b">a\n" + line + b"\n")
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "s.zarr"))
    store = GenomeStore.open(str(tmp_path / "s.zarr"))
    assert b"".join(pieces(store)) == line


def pieces(store: GenomeStore) -> Iterator[bytes]:
    for start in range(0, store.bases, 20_000_000):
        yield store.read_ascii(Interval("a", start, min(start + 20_000_000, store.bases)))

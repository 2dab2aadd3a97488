"""Compressed FASTA as bgzip writes it, and how a bad file is refused."""

import zlib
from pathlib import Path

import pytest

from hdna.errors import InputError
from hdna_prep.encode import encode_genome

BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzip_block(text: bytes) -> bytes:
    """One member as bgzip writes it, by its specification (SAM §4.1)."""
    deflated = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflated.compress(text) + deflated.flush()
    head = bytes.fromhex("1f8b08040000000000ff060042430200") + (len(body) + 25).to_bytes(2, "little")
    return head + body + zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")


def assert_refused(data: bytes, where: str, what: str, tmp_path: Path) -> None:
    """Encoding fails with one line that begins with file and place and names the fault; nothing is written."""
    fasta = tmp_path / "g.fa"
    fasta.write_bytes(data)
    with pytest.raises(InputError) as error:
        encode_genome([str(fasta)], str(tmp_path / "out.zarr"))
    assert str(error.value).startswith(f"{fasta}{where}")
    assert what in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.fa"]

"""Training and `prep verify` refuse the same shards: changed ones by their sha256, and those whose every checksum fits.

The author of these knows the format: sizes, sha256, offsets and crc32c in the manifest are made to fit what he changed.
"""

import gzip
import io
import re
import struct
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from support.files import flip_bit
from support.manifests import write_listed
from support.shard_sets import NPY_HEADER_BYTES, READERS, TRAIN, Member, member, refusal, rewrite_shard

Members = list[Member]
FIRST, UNMASKED = "w000000003", "w000000005"
"""Keys of the first two windows; the second has no mask."""


def put(name: str, change: Callable[[bytes], bytes]) -> Callable[[Members], None]:
    """Other content for one member."""

    def apply(members: Members) -> None:
        (index,) = [number for number, (info, _) in enumerate(members) if info.name == name]
        members[index] = member(name, change(members[index][1]))

    return apply


def first_byte(value: int) -> Callable[[bytes], bytes]:
    """Another first byte of a member's array."""
    return lambda data: data[:NPY_HEADER_BYTES] + bytes([value]) + data[NPY_HEADER_BYTES + 1 :]


def npy(kind: str, shape: str, data: bytes, width: int = NPY_HEADER_BYTES) -> bytes:
    """A .npy file as its format's description has it."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", width - 10) + f"{text:{width - 11}}\n".encode() + data


def insert(place: int, *new: Member) -> Callable[[Members], None]:
    """More members, from `place` on."""

    def apply(members: Members) -> None:
        members[place:place] = new

    return apply


def drop(name: str) -> Callable[[Members], None]:
    def apply(members: Members) -> None:
        members[:] = [one for one in members if one[0].name != name]

    return apply


def extended(members: Members) -> None:
    """A comment in the extended header of the first member."""
    members[0][0].pax_headers = {"comment": "x"}


SEQ, MASK, META = f"{FIRST}.seq.npy", f"{FIRST}.mask.npy", f"{FIRST}.json"
ELSEWHERE = "is not where the manifest's samples, in order, have it"
MORE = "does not end after the manifest's samples"
LATE = 10**6
CHANGES: dict[str, tuple[Callable[[Members], object], str]] = {
    "a special token": (put(SEQ, first_byte(4)), "seq.npy data hold bytes other than 6 to 11"),
    "a token past the alphabet": (put(SEQ, first_byte(12)), "seq.npy data hold bytes other than 6 to 11"),
    "a mask of 2": (put(MASK, first_byte(2)), "mask.npy data hold bytes other than 0 to 1"),
    "a mask of 255": (put(MASK, first_byte(255)), "mask.npy data hold bytes other than 0 to 1"),
    "another start in KEY.json": (put(META, lambda text: text.replace(b"3000", b"3001")), "json member differs"),
    "another split in KEY.json": (put(META, lambda text: text.replace(b"train", b"valid")), "json member differs"),
    "another key in KEY.json": (put(META, lambda text: text[:-1] + b', "x": 1}'), "json member differs"),
    "a space in KEY.json": (put(META, lambda text: text + b" "), "json member differs"),
    "an empty KEY.json": (put(META, lambda text: b""), "json member differs"),
    "a window one base short": (put(SEQ, lambda data: npy("|u1", "(1000,)", data[-1000:])), "not the window's bytes"),
    "a window one base long": (put(SEQ, lambda data: npy("|u1", "(1002,)", data[-1001:] + b"\7")), "not the window's"),
    "words for bytes": (put(SEQ, lambda data: npy("<u2", "(1001,)", data[-1001:] * 2)), "one-dimensional |u1 array"),
    "signed bytes": (put(SEQ, lambda data: npy("|i1", "(1001,)", data[-1001:])), "one-dimensional |u1 array"),
    "a mask of numbers": (put(MASK, lambda data: npy("|u1", "(1001,)", data[-1001:])), "one-dimensional |b1 array"),
    "two dimensions": (put(SEQ, lambda data: npy("|u1", "(7, 143)", data[-1001:])), "one-dimensional |u1 array"),
    "a pickle": (put(SEQ, lambda data: npy("|O", "(1001,)", data[-1001:])), "one-dimensional |u1 array"),
    "a length that lies": (put(SEQ, lambda data: npy("|u1", "(9001,)", data[-1001:])), "but its header says 9001"),
    "a short header": (put(SEQ, lambda data: npy("|u1", "(1001,)", data[-1001:], 80)), "128-byte header"),
    "no .npy": (put(SEQ, lambda data: b"x" * len(data)), "128-byte header"),
    "a mask missing": (drop(MASK), f"{re.escape(MASK)} {ELSEWHERE}"),
    "a mask too many": (insert(5, member(f"{UNMASKED}.mask.npy", npy("|b1", "(1001,)", bytes(1001)))), ELSEWHERE),
    "no KEY.json": (drop(META), f"{META} {ELSEWHERE}"),
    "mask before tokens": (lambda members: members.insert(1, members.pop(2)), f"{re.escape(SEQ)} {ELSEWHERE}"),
    "two windows in each other's place": (lambda ms: ms.insert(2, ms.pop(3)), ELSEWHERE),
    "the last member missing": (lambda members: members.pop(), ELSEWHERE),
    "a member twice": (lambda members: members.insert(1, members[0]), ELSEWHERE),
    "another window at the end": (insert(LATE, member("w000000099.json", b"{}")), MORE),
    "an empty member at the end": (insert(LATE, member("w000000099.json")), MORE),
    "a member of many blocks at the end": (insert(LATE, member("w000000099.json", bytes(20_000))), MORE),
    "a private member at the end": (insert(LATE, member("__x__", b"{}")), MORE),
    "a private member at the start": (insert(0, member("__x__", b"{}")), ELSEWHERE),
    "a private member in the middle": (insert(2, member("__x__/deep", b"x" * 600)), ELSEWHERE),
    "a folder at the end": (insert(LATE, member("folder", kind=tarfile.DIRTYPE)), MORE),
    "a folder in the middle": (insert(4, member("folder", kind=tarfile.DIRTYPE)), ELSEWHERE),
    "a link at the end": (insert(LATE, member("link", kind=tarfile.SYMTYPE)), MORE),
    "a pipe in the middle": (insert(4, member("pipe", kind=tarfile.FIFOTYPE)), ELSEWHERE),
    "a member without a name": (insert(LATE, member("", b"{}")), MORE),
    "a long name": (insert(LATE, member("n" * 99 + "/" + "m" * 99, b"{}")), MORE),
    "an extended header": (extended, ELSEWHERE),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_rewritten_shard_is_refused_though_every_checksum_fits(change: str, reader: str, shards: Path) -> None:
    apply, why = CHANGES[change]
    rewrite_shard(shards, apply, form=tarfile.PAX_FORMAT if apply is extended else tarfile.USTAR_FORMAT)
    told = refusal(reader, shards)
    assert re.search(rf"{shards / TRAIN}: .*({why})", told), told


@pytest.mark.parametrize("reader", READERS)
def test_an_unchanged_shard_written_again_is_not_refused(reader: str, shards: Path) -> None:
    """Nothing but the change is at fault above: the same members give the same bytes."""
    before = (shards / TRAIN).read_bytes()
    rewrite_shard(shards, lambda members: None)
    assert (shards / TRAIN).read_bytes() == before
    with pytest.raises(pytest.fail.Exception if reader == "training" else AssertionError):
        refusal(reader, shards)


def with_first_base(data: bytes) -> bytes:
    """One base is another; the crc32c stays."""
    place = data.index(b"\x93NUMPY") + NPY_HEADER_BYTES
    return data[:place] + bytes([7 if data[place] != 7 else 8]) + data[place + 1 :]


def behind_the_end(data: bytes) -> bytes:
    assert not any(data[-100:])
    return data[:-100] + b"x" * 100


def with_header(data: bytes, place: int, fields: dict[int, bytes]) -> bytes:
    """Other fields, by their place, in the header at `place`, whose checksum fits."""
    header = bytearray(data[place : place + 512])
    for at, field in {**fields, 148: b" " * 8}.items():
        header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:place] + bytes(header) + data[place + 512 :]


def with_size(field: bytes) -> Callable[[bytes], bytes]:
    """Another size of the first member."""
    return lambda data: with_header(data, 0, {124: field})


def with_hole(data: bytes) -> bytes:
    """A sparse member, as GNU tar writes them: a tar reader puts a zero between the tokens, at the offset is none."""
    parts = b"".join(b"%011o\0" % number for number in (0, 628, 629, 500))
    sparse = {124: b"%011o\0" % 1128, 156: tarfile.GNUTYPE_SPARSE, 386: parts, 483: b"%011o\0" % 1129}
    return with_header(data, 1024, sparse)


TARS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another base": (with_first_base, "seq.npy data do not have the crc32c of the manifest"),
    "half of it": (lambda data: data[: len(data) // 2], "its data lie outside the shard"),
    "its last record missing": (lambda data: data[:-10_240], "its data lie outside the shard"),
    "its end missing": (lambda data: data.rstrip(b"\0") + bytes(512), MORE),
    "a record more": (lambda data: data + bytes(10_240), MORE),
    "something behind the end": (behind_the_end, MORE),
    "a header with a wrong checksum": (lambda data: data[:148] + b"7" + data[149:], "not a complete tar"),
    "a negative size": (with_size(b"\xff" * 10 + b"\xfe\x00"), "not a complete tar|json member"),
    "a size of all memory": (with_size(b"\x80" + bytes(4) + b"\x3f" + bytes(6)), "not a complete tar|json member"),
    "a member with a hole": (with_hole, "not the window's bytes"),
    "text": (lambda data: b"x" * len(data), ELSEWHERE),
    "zeros": (lambda data: bytes(len(data)), ELSEWHERE),
    "gzip": (lambda data: gzip.compress(data) + bytes(len(data)), ELSEWHERE),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", TARS)
def test_a_file_that_is_no_such_tar_is_refused_bare_and_with_checksums_that_fit(
    change: str, reader: str, shards: Path
) -> None:
    apply, why = TARS[change]
    sound = (shards / TRAIN).read_bytes()
    (shards / TRAIN).write_bytes(apply(sound))
    told = refusal(reader, shards)
    assert re.search(rf"{shards / TRAIN}(: damaged: .* but its manifest says| does not have the bytes)", told), told
    write_listed(shards / "manifest.json", TRAIN, apply(sound))
    told = refusal(reader, shards)
    assert re.search(rf"{shards}.*({why})", told), told


@pytest.mark.parametrize("reader", READERS)
def test_a_compressed_tar_is_not_unpacked(reader: str, shards: Path) -> None:
    """The tar reader of WebDataset would: 64 MiB from 64 KiB, as the content of the first member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        info, data = member(META, bytes(64 << 20))
        tar.addfile(info, io.BytesIO(data))
    del data
    write_listed(shards / "manifest.json", TRAIN, file.getvalue().ljust(30_720, b"\0"))
    tracemalloc.start()
    told = refusal(reader, shards)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"{META} {ELSEWHERE}" in told
    assert peak < 16 << 20


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("where", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_flipped_bit_is_found(where: float, reader: str, shards: Path) -> None:
    flip_bit(shards / TRAIN, where)
    assert str(shards / TRAIN) in refusal(reader, shards)


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_shard_is_named(reader: str, shards: Path) -> None:
    (shards / TRAIN).unlink()
    assert re.search(rf"{shards / TRAIN}:? .*is missing", refusal(reader, shards))

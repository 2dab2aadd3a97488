"""Shard sets for tests: made up, read as training reads them, or rewritten as a mistaken or hostile author would."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna.data.cache import ShardCache
from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.shard import SPLITS
from hdna.genome.shard_set import Dropped, Provenance, load_shard_set
from support.manifests import Body, edit_manifest, write_listed

NO_PROVENANCE = Provenance([], "", {}, Dropped(0, ""), "")
"""Of a set that nothing was made of."""

TRAIN = "train-000000.tar"
NPY_HEADER_BYTES = 128
READERS = ("training", "prep verify")
Member = tuple[tarfile.TarInfo, bytes]


def train_on(folder: Path) -> None:
    """Read every window whole, as training and evaluation would."""
    shard_set = load_shard_set(str(folder))
    for split in SPLITS:
        reader = WindowReader([shard_set], split, ShardCache())
        for window in range(len(reader)):
            reader.read(Crop(window, 0, "+"), reader.bases(window))


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> Member:
    """A member for a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info, data


def rewrite_shard(
    folder: Path, change: Callable[[list[Member]], object], name: str = TRAIN, form: int = tarfile.USTAR_FORMAT
) -> None:
    """Change the members of a shard, and make everything in the manifest fit: offsets, crc32c, sizes and sha256."""
    with tarfile.open(folder / name) as tar:
        members = [member(info.name, content.read()) for info in tar if (content := tar.extractfile(info))]
    change(members)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    fit_samples(folder, file.getvalue(), name)
    write_listed(folder / "manifest.json", name, file.getvalue())


def fit_samples(folder: Path, data: bytes, name: str = TRAIN) -> None:
    """Point the samples of a shard to the arrays of a tar, and make their checksums fit."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        at = {info.name: (info.offset_data, info.size) for info in tar}

    def change(body: Body) -> None:
        shard = next(shard for shard in body["shards"] if shard["url"] == name)
        for sample in shard["samples"]:
            for prefix, field in (("", "seq.npy"), ("mask_", "mask.npy")):
                begin, size = at.get(f"{sample['key']}.{field}", (0, 0))
                if size and sample[f"{prefix}offset"] is not None:
                    array = data[begin + NPY_HEADER_BYTES : begin + size]
                    checksum: int = google_crc32c.value(array)
                    sample.update({f"{prefix}offset": begin + NPY_HEADER_BYTES, f"{prefix}crc32c": checksum})

    edit_manifest(folder / "manifest.json", change)


def refusal(reader: str, folder: Path) -> str:
    """What one of READERS has against a set: training one line, `prep verify` one for each problem."""
    if reader == "training":
        with pytest.raises(InputError) as caught:
            train_on(folder)
        return str(caught.value)
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert isinstance(result.exception, SystemExit) and result.exit_code == 1, result.exception or result.output
    assert all(line.startswith(str(folder)) for line in result.stdout.splitlines()), result.stdout
    return result.stdout

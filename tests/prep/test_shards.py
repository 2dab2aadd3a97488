"""Shard sets and stores as other programs see them: stock webdataset, stock zarr, an independent decode of FASTA."""

import io
import json
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import webdataset
import zarr

from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.verify import verify

TRAIN = "train-000000.tar"
TOKEN = {"A": 7, "C": 8, "G": 9, "T": 10, "U": 10, "N": 11}


def contigs_of(fasta: Path) -> dict[str, str]:
    records = [record.split("\n", 1) for record in fasta.read_text().split(">")[1:]]
    return {header.split()[0]: body.replace("\n", "") for header, body in records}


def column(group: zarr.Group, name: str) -> npt.NDArray[np.integer]:
    """A whole array of a store."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def flags(runs: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Run lengths written out: false for the first, true for the second, and so on."""
    return np.repeat(np.arange(runs.size) % 2 == 1, runs)


def test_stock_zarr_decodes_the_bases(made: Path) -> None:
    """The packed bases by an independent formula, N by its run lengths: as the format's description says."""
    group = zarr.open_group(str(made / "g.zarr"), mode="r")
    text = "".join(contigs_of(made / "g.fa").values())
    packed = column(group, "bases")
    runs, lower = flags(column(group, "n_runs")), flags(column(group, "mask_runs"))
    letters = column(group, "iupac_codes").tobytes().decode()
    other = dict(zip(column(group, "iupac_positions").tolist(), letters, strict=True))
    for i in [*range(3000), *range(len(text) - 3000, len(text)), *other]:
        letter = "ACGT"[packed[i // 4] >> (6 - 2 * (i % 4)) & 3]
        letter = "N" if runs[i] else other.get(i, letter)
        assert (letter.lower() if lower[i] else letter) == text[i]
    assert runs.size == lower.size == len(text)
    assert set(other.values()) == {"R", "U"}
    assert column(group, "contig_names").tobytes().decode().split("\n")[0].startswith("chr1 ")
    assert column(group, "contig_offsets").tolist() == [0, 40_000, 80_000, 120_000]
    expected, counts = Counter(text.upper()), group.attrs["counts"]
    assert isinstance(counts, dict)
    assert counts["N"] == expected["N"]
    assert counts["other"] == expected["R"] + expected["U"]


def samples_of(path: Path) -> list[dict[str, Any]]:
    """What webdataset's own tar reader makes of a shard it is given as a file object."""
    with path.open("rb") as stream:
        source = webdataset.tariterators.tar_file_expander([{"url": path.name, "stream": stream}])
        return list(webdataset.tariterators.group_by_keys(source))


def test_stock_webdataset_reads_what_the_fasta_says(made: Path) -> None:
    contigs = contigs_of(made / "g.fa")
    read = 0
    for path in sorted((made / "set").glob("*.tar")):
        for sample in samples_of(path):
            meta = json.loads(sample["json"])
            letters = contigs[meta["contig"]][meta["start"] : meta["end"]]
            tokens = np.load(io.BytesIO(sample["seq.npy"]), allow_pickle=False)
            assert tokens.dtype == np.uint8
            assert tokens.tolist() == [TOKEN.get(letter, 6) for letter in letters.upper()]
            mask = np.load(io.BytesIO(sample["mask.npy"])) if "mask.npy" in sample else np.zeros(len(letters), bool)
            assert mask.tolist() == [letter.islower() for letter in letters]
            assert ("mask.npy" in sample) == (letters != letters.upper())
            assert meta["split"] == path.name.split("-")[0]
            assert meta["assembly"] == "g"
            read += 1
    assert read == sum(entry.windows for entry in load_shard_set(str(made / "set")).totals.values())


def test_manifest_offsets_lead_straight_to_the_tokens(made: Path) -> None:
    contigs = contigs_of(made / "g.fa")
    shard_set = load_shard_set(str(made / "set"))
    for shard in shard_set.shards:
        data = (made / "set" / shard.url).read_bytes()
        for sample in shard.samples:
            letters = contigs[sample.contig][sample.start : sample.end]
            tokens = data[sample.offset : sample.offset + len(letters)]
            assert list(tokens) == [TOKEN.get(letter, 6) for letter in letters.upper()]
            if sample.mask_offset is not None:
                mask = data[sample.mask_offset : sample.mask_offset + len(letters)]
                assert [bool(flag) for flag in mask] == [letter.islower() for letter in letters]


def test_totals_are_those_of_the_covered_bases(made: Path) -> None:
    contigs = contigs_of(made / "g.fa")
    shard_set = load_shard_set(str(made / "set"))
    for split, entry in shard_set.totals.items():
        covered = {
            (sample.contig, place)
            for shard in shard_set.shards
            if shard.split == split
            for sample in shard.samples
            for place in range(sample.start, sample.end)
        }
        counts = Counter(contigs[contig][place] for contig, place in covered)
        upper = Counter("".join(letter * n for letter, n in counts.items()).upper())
        assert entry.bases == len(covered)
        assert entry.counts["A"] == upper["A"]
        assert entry.counts["T"] == upper["T"] + upper["U"]
        assert entry.counts["other"] == upper["R"]
        assert entry.counts["soft_masked"] == sum(n for letter, n in counts.items() if letter.islower())


def test_second_run_gives_the_same_bytes(made: Path) -> None:
    write_shards([str(made / "g.zarr")], str(made / "again"), window=5000)
    names = sorted(path.name for path in (made / "set").iterdir())
    assert names == sorted(path.name for path in (made / "again").iterdir())
    assert all((made / "set" / name).read_bytes() == (made / "again" / name).read_bytes() for name in names)


def test_one_set_holds_windows_of_several_assemblies(made: Path) -> None:
    encode_genome([str(made / "plain.fa")], str(made / "other.zarr"), "other")
    stores = [str(made / "g.zarr"), str(made / "other.zarr")]
    shard_set = write_shards(stores, str(made / "both"), window=5000, rule="contig")
    assert {sample.assembly for shard in shard_set.shards for sample in shard.samples} == {"g", "other"}
    assert verify(str(made / "both")) == []


def test_a_genome_of_n_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.fa").write_text(">a\n" + "N" * 5000 + "\n")
    encode_genome([str(tmp_path / "n.fa")], str(tmp_path / "n.zarr"))
    with pytest.raises(InputError, match="no A, C, G or T"):
        write_shards([str(tmp_path / "n.zarr")], str(tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_splits_without_a_train_window_are_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "s.bed").write_text("chr1\t0\t20000\tvalid\n")
    with pytest.raises(InputError, match="no train window is left"):
        write_shards([str(made / "g.zarr")], str(tmp_path / "set"), str(tmp_path / "s.bed"))
    assert [path.name for path in tmp_path.iterdir()] == ["s.bed"]


def test_two_stores_of_one_name_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--assembly NAME"):
        write_shards([str(made / "g.zarr")] * 2, str(tmp_path / "set"))


def test_a_tar_holds_members_in_their_order_with_fixed_metadata(made: Path) -> None:
    with tarfile.open(made / "set" / TRAIN) as tar:
        infos = tar.getmembers()
    assert {(info.mtime, info.uid, info.gid, info.mode, info.uname) for info in infos} == {(0, 0, 0, 0o644, "")}
    fields = [info.name.split(".", 1) for info in infos]
    order = ["json", "seq.npy", "mask.npy"]
    for one, other in pairwise(fields):
        assert other[1] == "json" or (one[0] == other[0] and order.index(other[1]) == order.index(one[1]) + 1)

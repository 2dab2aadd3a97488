"""Splits and windows: known cases, edges, and the rule that no base belongs to two splits."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna_prep.encode import encode_genome
from hdna_prep.splits import Stretch, read_bed, split_by_contig, split_by_hash
from hdna_prep.windows import Window, cut, keep_known


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GenomeStore]:
    """chr1: 1,000 bases; chr2: 500, of which the first 200 N; chrN: 100 N."""
    folder = tmp_path_factory.mktemp("genome")
    text = f">chr1\n{'ACGTT' * 200}\n>chr2\n{'N' * 200}{'GATTC' * 60}\n>chrN\n{'N' * 100}\n"
    (folder / "toy.fa").write_text(text)
    encode_genome([str(folder / "toy.fa")], str(folder / "toy.zarr"))
    return {"toy": GenomeStore.open(str(folder / "toy.zarr"))}


def bed(folder: Path, text: str) -> str:
    path = folder / "splits.bed"
    path.write_text(text)
    return str(path)


def places(windows: list[Window]) -> list[tuple[int, int]]:
    return [(window.start, window.end) for window in windows]


@pytest.mark.parametrize(
    ("start", "end", "width", "expected"),
    [
        (0, 100, 40, [(0, 41), (40, 81), (80, 100)]),
        (0, 81, 40, [(0, 41), (40, 81)]),  # the last base is shared, no remainder
        (0, 82, 40, [(0, 41), (40, 81), (80, 82)]),  # a remainder of two bases is one transition
        (0, 80, 40, [(0, 41), (40, 80)]),
        (7, 9, 40, [(7, 9)]),
        (7, 8, 40, []),
        (5, 9, 1, [(5, 7), (6, 8), (7, 9)]),
        (10, 20, 1 << 20, [(10, 20)]),  # shorter than a window
    ],
)
def test_windows_share_a_base_and_a_remainder_of_two_bases_is_one_more(
    start: int, end: int, width: int, expected: list[tuple[int, int]]
) -> None:
    assert places(cut([Stretch("toy", "chr1", start, end, "train")], width)) == expected


@settings(max_examples=60, deadline=None)
@given(borders=st.lists(st.integers(0, 400), min_size=2, max_size=8, unique=True), width=st.integers(1, 90))
def test_every_transition_once_and_no_border_crossed(borders: list[int], width: int) -> None:
    borders.sort()
    splits = ["train", "valid", "test", "train", "test", "valid", "train"]
    stretches = [
        Stretch("toy", "chr1", start, end, split)
        for start, end, split in zip(borders, borders[1:], splits, strict=False)
    ]
    windows = cut(stretches, width)
    transitions = Counter(place for w in windows for place in range(w.start, w.end - 1))
    assert transitions == Counter(place for s in stretches for place in range(s.start, s.end - 1))
    owners: dict[int, set[str]] = {}
    for window in windows:
        for place in range(window.start, window.end):
            owners.setdefault(place, set()).add(window.split)
    assert all(len(splits_of) == 1 for splits_of in owners.values())


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 300), rule=st.sampled_from(["hash", "contig"]))
def test_distinct_bases_add_up(width: int, rule: str, stores: dict[str, GenomeStore]) -> None:
    stretches = split_by_contig(stores) if rule == "contig" else split_by_hash(stores, width)
    kept = keep_known(cut(stretches, width), stores)
    covered = {(w.contig, place) for w in kept for place in range(w.start, w.end)}
    assert sum(window.distinct for window in kept) == len(covered)


def test_windows_of_mostly_n_are_dropped(stores: dict[str, GenomeStore]) -> None:
    windows = cut([Stretch("toy", "chr2", 0, 500, "train"), Stretch("toy", "chrN", 0, 100, "train")], 100)
    # [200, 301) is known; [100, 201) holds 100 N and one base; chrN is N throughout.
    assert places(keep_known(windows, stores)) == [(200, 301), (300, 401), (400, 500)]


def test_exactly_half_unknown_is_kept(stores: dict[str, GenomeStore]) -> None:
    assert keep_known(cut([Stretch("toy", "chr2", 199, 201, "train")], 50), stores)
    assert not keep_known(cut([Stretch("toy", "chr2", 198, 201, "train")], 50), stores)


def test_bed_is_read_merged_and_sorted(stores: dict[str, GenomeStore], tmp_path: Path) -> None:
    text = "track name=x\n#note\nchr2\t300\t400\tvalid\textra\nchr1\t0\t50\ttrain\r\nchr1\t40\t90\ttrain\n\n"
    text += "browser position\nchr1\t90\t120\ttrain\nchr1 120 130 test\n"
    expected = [
        Stretch("toy", "chr1", 0, 120, "train"),
        Stretch("toy", "chr1", 120, 130, "test"),
        Stretch("toy", "chr2", 300, 400, "valid"),
    ]
    assert read_bed(bed(tmp_path, text), stores) == expected
    (tmp_path / "packed").write_bytes(gzip.compress(text.encode()))
    assert read_bed(str(tmp_path / "packed"), stores) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("chr1\t0\t10\ttrain\nchr11\t0\t10\ttrain\n", ":2: no contig 'chr11'; the nearest name is 'chr1'"),
        ("chr1\t0\t1001\ttrain\n", ":1: end 1001 is past the end of chr1, which has 1000 bases"),
        ("chr1\t10\t10\ttrain\n", ":1: start 10 is not before end 10"),
        ("chr1\t20\t10\ttrain\n", ":1: start 20 is not before end 10"),
        ("chr1\t-1\t10\ttrain\n", ":1: start '-1'"),
        ("chr1\t1.5\t10\ttrain\n", ":1: start '1.5'"),
        ("chr1\t0\t1e3\ttrain\n", ":1: start '0' and end '1e3'"),
        (
            "chr1\t0\t10\tvalidation\n",
            ":1: unknown split 'validation': want train, valid or test; did you mean 'valid'?",
        ),
        ("chr1\t0\t10\n", ":1: 3 columns"),
        ("chr1\t0\t10\ttrain\nchr1\t9\t20\tvalid\n", ":2: overlaps line 1"),
        (
            "chr1\t0\t90\ttrain\nchr1\t5\t9\ttrain\nchr1\t30\t40\tvalid\n",
            "overlap: a base may belong to only one split",
        ),
        ("# nothing\n", ": empty"),
    ],
)
def test_a_bad_bed_file_is_refused_with_place_and_reason(
    text: str, what: str, stores: dict[str, GenomeStore], tmp_path: Path
) -> None:
    path = bed(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_bed(path, stores)
    assert what in str(error.value)
    assert str(error.value).startswith(path)


def genome_of(lengths: list[int], folder: Path) -> dict[str, GenomeStore]:
    (folder / "g.fa").write_text("".join(f">ctg{i}\n{'ACGT' * (n // 4)}\n" for i, n in enumerate(lengths)))
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    return {"g": GenomeStore.open(str(folder / "g.zarr"))}


def shares(stretches: list[Stretch]) -> dict[str, float]:
    total = sum(stretch.bases for stretch in stretches)
    return {split: sum(s.bases for s in stretches if s.split == split) / total for split in ("train", "valid", "test")}


@pytest.mark.parametrize(("bases", "window"), [(200_000, 1000), (200_000, 1 << 20), (4000, 4000)])
def test_hash_gives_a_tenth_each_also_on_small_genomes(bases: int, window: int, tmp_path: Path) -> None:
    found = shares(split_by_hash(genome_of([bases], tmp_path), window))
    assert found["valid"] == pytest.approx(0.1, abs=0.03)
    assert found["test"] == pytest.approx(0.1, abs=0.03)


def test_hash_covers_everything_once(tmp_path: Path) -> None:
    stretches = split_by_hash(genome_of([4000, 800, 40, 4], tmp_path), 100)
    covered = sorted((s.contig, place) for s in stretches for place in range(s.start, s.end))
    expected = [(f"ctg{i}", place) for i, n in enumerate([4000, 800, 40, 4]) for place in range(n)]
    assert covered == expected


def test_contigs_stay_whole_and_big_ones_stay_in_train(tmp_path: Path) -> None:
    stretches = split_by_contig(genome_of([40_000, 30_000, 4000, 4000, 4000, 4000, 4000], tmp_path))
    assert [stretch.start for stretch in stretches] == [0] * 7
    assert {s.split for s in stretches if s.bases >= 30_000} == {"train"}
    found = shares(stretches)
    assert found["valid"] == pytest.approx(0.1, abs=0.05)
    assert found["test"] == pytest.approx(0.1, abs=0.05)


def test_two_contigs_make_train_and_valid(tmp_path: Path) -> None:
    assert sorted(s.split for s in split_by_contig(genome_of([400, 400], tmp_path))) == ["train", "valid"]


def test_one_contig_cannot_be_split_by_contig(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two contigs"):
        split_by_contig(genome_of([400], tmp_path))

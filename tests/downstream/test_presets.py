"""Presets: the sets of the papers, read from local copies in the layouts that they are published in, or said where."""

from pathlib import Path

import numpy as np
import pytest

from hdna.downstream.tasks.labelled_set import LabelledSet, make_set
from hdna.downstream.tasks.preset_files import read_preset
from hdna.downstream.tasks.presets import PRESETS, find_preset
from hdna.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "labelled"


def sequence(seed: int, length: int = 40) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size=length))


def made(name: str, folder: Path, longest: int = 2000) -> LabelledSet:
    preset = find_preset(name)
    found = read_preset(preset, str(folder), None)
    train = found["train"] if "train" in found else found["test"]
    test = found.get("test") if "train" in found else None
    return make_set(preset.name, train, found.get("valid"), test, longest, preset.kind)


def test_the_papers_sets_are_there() -> None:
    families = [preset.name.partition(":")[0] for preset in PRESETS]
    assert (families.count("gb"), families.count("nt"), families.count("chromatin")) == (8, 18, 1)
    metrics = [preset.metric for preset in PRESETS if preset.name.startswith("nt:")]
    assert metrics == ["mcc"] * 12 + ["f1_macro"] * 6
    chromatin = find_preset("deepsea")
    assert sum(part.stop - part.start for part in chromatin.label_groups.values()) == chromatin.classes == 919
    assert all("https://" in preset.source for preset in PRESETS)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="human_nontata_promoters"):
        find_preset("human_nontata_promotors")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_missing_copy_is_one_line_that_says_where_to_get_it(tmp_path: Path, preset: object) -> None:
    own = next(one for one in PRESETS if one is preset)
    with pytest.raises(InputError) as caught:
        read_preset(own, str(tmp_path), None)
    assert "https://" in str(caught.value) and own.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_class_folders_are_read(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        for label, name in enumerate(("negative", "positive")):
            folder = tmp_path / "human_nontata_promoters" / split / name
            folder.mkdir(parents=True)
            for row in range(30):
                (folder / f"{row}.txt").write_text(sequence(1000 * number + 100 * label + row))
    problem = made("gb:human_nontata_promoters", tmp_path).problem
    assert list(problem.names) == ["negative", "positive"]
    assert problem.test.labels.tolist() == [0] * 30 + [1] * 30
    assert len(problem.train) + len(problem.valid) == 60


def test_labels_in_headers_are_read(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        rows = (f">chr1:{row}|{row % 3}\n{sequence(100 * number + row)}\n" for row in range(60))
        (tmp_path / f"enhancers_types_{split}.fasta").write_text("".join(rows))
    problem = made("enhancers_types", tmp_path).problem
    assert list(problem.names) == ["0", "1", "2"]
    assert problem.test.labels.tolist() == [row % 3 for row in range(60)]


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "a_train.csv"):
        (tmp_path / name).write_text("sequence,label\nACGT,1\n")
    with pytest.raises(InputError, match="both train"):
        made("nt:H3", tmp_path)


def test_species_are_told_from_windows_of_other_chromosomes(tmp_path: Path) -> None:
    preset = find_preset("species:1k")
    for number, name in enumerate(preset.genomes):
        contigs = (f">chr{contig}\n{sequence(10 * number + contig, 4 * preset.length + 5)}\n" for contig in range(1, 6))
        (tmp_path / f"{name}.fa").write_text("".join(contigs) + f">chr6\n{'N' * 3000}\n")
    found = made("species:1k", tmp_path)
    problem = found.problem
    assert list(problem.names) == sorted(preset.genomes)
    assert found.chromosomes is not None
    assert {name.split()[1] for name in found.chromosomes} == {"chr1", "chr3"}
    assert len(problem.test) == 5 * 2 * 4
    assert len(problem.train) + len(problem.valid) == 5 * 3 * 4
    assert all(len(own) == preset.length for own in problem.train.tokens)


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is absent")
def test_a_copy_with_a_test_part_alone_is_divided_and_says_so() -> None:
    found = made("human_nontata_promoters", SHARED / "gb_human_nontata_promoters")
    rows = [len(part) for part in (found.problem.train, found.problem.valid, found.problem.test)]
    assert sum(rows) == 9034
    assert rows[2] == pytest.approx(0.2 * 9034, rel=0.1)
    assert [note.partition(":")[0] for note in found.notes] == ["test", "valid"]

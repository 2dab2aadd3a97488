"""The card of exported weights: it says what the run's files say, up to the checkpoint, and no path of a machine."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import made_up_run
from support.command_line import hdna

from hdna.checkpoint import (
    LoadedCheckpoint,
    RunState,
    checkpoint_url,
)
from hdna.config.recipe import parse_recipe
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna.report import card_sections, card_subject, markdown

ASSEMBLY = "made|up <b>"
Exported = Callable[..., str]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("set")
    hdna("prep", "synth", "--out", folder / "g.fa", "--bases", 40_000, "--contigs", 4)
    hdna("prep", "genome", folder / "g.fa", "--out", folder / "g.zarr", "--assembly", ASSEMBLY)
    hdna("prep", "shards", folder / "g.zarr", "--out", folder / "shards", "--window", 1024, "--split-by", "contig")
    return load_shard_set(str(folder / "shards"))


@pytest.fixture
def exported(tmp_path: Path, shards: ShardSet) -> Exported:
    """A function that writes the made-up run, its checkpoints whole, and returns the card of one of them."""

    def export(step: int | None = None, environment: dict[str, str] | None = None, checksum: str = "") -> str:
        run = tmp_path / "made up"
        lines: list[dict[str, Any]] = made_up_run.metrics()
        made_up_run.write_run(run, [line | {"seconds": 360.0, "workers": 2} for line in lines])
        recipe = made_up_run.RECIPE.replace("data/<script>alert(1)</script>", shards.url)
        (run / "recipe.yaml").write_text(recipe)
        (run / "environment.json").write_text(json.dumps({"torch": "9.9", "device": "CPU <b>&"} | (environment or {})))
        for number in (6, 10):
            state = RunState(number, 512 * number, recipe=recipe, data={"0": checksum or shards.checksum})
            made_up_run.save_whole(run, state)
        where = checkpoint_url(str(run), step, int(step == 10)) if step else run
        hdna("export", where, "--to", "hf", "--out", tmp_path / "out")
        return (tmp_path / "out" / "README.md").read_text()

    return export


def cells(text: str, first: str) -> list[str]:
    """The row of a table that begins with a cell."""
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def section(text: str, heading: str) -> str:
    """What stands below a heading."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_it_says_what_the_run_s_files_say(exported: Exported, shards: ShardSet, tmp_path: Path) -> None:
    text = exported()
    front, _, _ = text.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front)["license"] == "unknown" and yaml.safe_load(front)["library_name"] == "transformers"
    assert "after 10 steps and 5,120 tokens" in text
    bits = section(text, "Bits per base")
    assert cells(bits, "0") == ["0", "64", "6", "3,072", "36 min 0 s", "1.9700", "1.9750"]
    assert cells(bits, "1") == ["1", "256", "4", "2,048", "24 min 0 s", "1.9450", "1.9510"]
    assert cells(bits, "order-5 Markov") == ["order-5 Markov", "1.9300", "0.0600"]
    assert "scored 1,234 bases" in bits and "context of 256" in bits
    data = section(text, "Training data")
    assert cells(data, "0 | g.zarr")[:4] == ["0", "g.zarr", r"made\|up \<b\>", "–"]
    found = [
        f"{shards.totals[split].bases:,}" if split in shards.totals else "0" for split in ("train", "valid", "test")
    ]
    assert cells(data, "0 | shards")[2:5] == found and shards.checksum in data
    took = section(text, "What it took")
    assert cells(took, "all")[:3] == ["all", "1.00", "2.00"]  # ten steps of 360 s on two workers
    assert "began from random weights, seed 1" in section(text, "Where the weights come from")
    assert str(tmp_path) not in text and str(Path(shards.url).parent) not in text and "made up" in text


def test_the_review_s_questions_are_answered_from_files_or_with_unknown(exported: Exported, shards: ShardSet) -> None:
    answers = section(exported(), "At a glance")
    bases = f"{shards.totals['train'].bases:,} bases in the train split; 5,120 tokens seen"
    for question, answer in (
        ("Source of the data", r"genomes: made\|up \<b\>"),
        ("Size of the data", bases),
        ("Weights", "unknown: whoever publishes them sets their licence"),
        ("Data", "unknown: 0 of 1 genomes have an accession recorded"),
    ):
        assert cells(answers, question) == [question, answer]
    assert cells(answers, "Compute")[1].startswith(r"2.00 worker hours (CPU \<b\>&), ")
    assert "2 causal convolutional blocks of width 16" in cells(answers, "Architecture")[1]


def test_of_data_that_are_gone_source_size_and_openness_are_unknown(exported: Exported) -> None:
    answers = section(exported(checksum="ab" * 32), "At a glance")
    assert cells(answers, "Source of the data")[1] == "unknown"
    assert cells(answers, "Size of the data")[1] == "unknown; 5,120 tokens seen"
    assert cells(answers, "Data")[1].startswith("unknown")


def test_it_ends_at_the_checkpoint(exported: Exported) -> None:
    text = exported(step=6)
    assert "after 6 steps and 3,072 tokens" in text
    bits = section(text, "Bits per base")
    assert cells(bits, "0")[-1] == "1.9750" and "1.9510" not in text and "stage 1" not in text
    assert cells(section(text, "What it took"), "all")[1] == "0.60"
    assert "No training sample was longer than 64 bases" in section(text, "Limits")


def test_data_that_are_gone_or_others_are_not_described(exported: Exported) -> None:
    data = section(exported(checksum="ab" * 32), "Training data")
    assert "another set is there now" in data and "g.zarr" not in data and "ab" * 32 in data


def test_it_says_which_weights_the_run_began_from(exported: Exported) -> None:
    source = "/home/me/imports/tiny/checkpoints/step-000000, step 0, 0 tokens, sha256 abc"
    sources = section(exported(environment={"weights from": source}), "Where the weights come from")
    assert r"from tiny/checkpoints/step-000000, step 0, 0 tokens, sha256 abc." in sources and "/home" not in sources


def test_an_assembly_s_accession_is_shown_where_it_is_known(exported: Exported, shards: ShardSet) -> None:
    told = [replace(store, accession="GCA_000001405.29") for store in shards.provenance.stores]
    known = replace(shards, provenance=replace(shards.provenance, stores=told))
    config = parse_recipe(made_up_run.RECIPE, "recipe")
    state = RunState(data={"0": shards.checksum}, recipe=made_up_run.RECIPE)
    checkpoint = LoadedCheckpoint("runs/x", {}, state)
    blocks = "\n".join(card_sections.data(card_subject.Subject(checkpoint, config, None, None, [known])))
    assert cells(blocks, "Set | Genome store | Assembly")[3] == "Accession"
    assert cells(blocks, "0 | g.zarr")[3] == r"GCA\_000001405.29"


def test_no_text_is_markup() -> None:
    assert markdown.text("a|b\n# <i> `x` [y](z) *w*") == r"a\|b \# \<i\> \`x\` \[y\](z) \*w\*"
    assert markdown.table(("A", "B"), [("x|y", 1)]) == "| A | B |\n| --- | ---: |\n| x\\|y | 1 |"

"""`hdna eval task`: one command from tables to evidence, figures and a table that is read."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.command_line import hdna
from support.motif_rows import motif_rows
from support.random_checkpoint import random_checkpoint
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import ModelConfig
from hdna.downstream.evidence import find_evidence
from hdna.downstream.metrics import Floats
from hdna.downstream.tasks import finetune
from hdna.downstream.tasks.problem import Problem, Rows
from hdna.errors import InputError
from hdna.genome import alphabet

CHECKPOINT = ModelConfig(d_model=8, n_layer=1, l_max=128, filter_order=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and labelled rows of eight chromosomes, of which two test rows are in train."""
    own = tmp_path_factory.mktemp("task")
    random_checkpoint(own / "run", CHECKPOINT)
    rows = {
        split: motif_rows(count, seed, groups=8) for seed, (split, count) in enumerate((("train", 80), ("test", 118)))
    }
    lines = dict[str, list[str]]()
    for split, part in rows.items():
        cells = zip(part.tokens, part.labels, part.groups, strict=True)
        lines[split] = [f"{alphabet.decode(tokens).decode()},{label},chr{group}" for tokens, label, group in cells]
    lines["test"] += [*lines["train"][:2], f"{'A' * 200},1,chr1"]
    for split, text in lines.items():
        (own / f"{split}.csv").write_text("\n".join(["sequence,label,chromosome", *text]) + "\n")
    return own


def know_nothing(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
    return np.full((len(asked), len(problem.names)), 0.5)


def test_a_task_is_judged_from_tables_to_evidence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "scratch", lambda subject, schedule: know_nothing)  # a fine-tuning takes seconds
    monkeypatch.setattr("hdna.downstream.tasks.learning_curve.SEEDS", 1)
    monkeypatch.setattr("hdna.downstream.tasks.judgement._FEWEST_DRAWS", 20)
    monkeypatch.setattr("hdna.downstream.tasks.judgement._WORK", 1)
    out = folder / "out"
    words = ["--train", folder / "train.csv", "--test", folder / "test.csv", "--out", out, "--curve"]
    printed = hdna("eval", "task", folder / "run", *words, "--without", "cnn", "--without", "kmer_boosting")
    (evidence,) = find_evidence(str(out))
    body = evidence.body
    assert (evidence.kind, body["task"], body["method"]) == ("task", folder.name, "probe")
    assert body["rows"]["test"] == 120 and body["set_apart"] == 1
    assert body["resampled"] == "chromosomes"
    assert list(body["baselines"]) == ["kmer_logistic", "scratch"]
    assert set(body["metrics"]["mcc"]) == {"value", "low", "high"}
    assert body["baselines"]["scratch"]["difference"]["mcc"]["value"] == body["metrics"]["mcc"]["value"]
    assert body["baselines"]["kmer_logistic"]["metrics"]["auroc"]["value"] > 0.7
    train_test, pretraining = body["leaks"]["train_test"], body["leaks"]["pretraining_test"]
    assert train_test["found"]["exact"] == 2 and train_test["rows_without"] == 118
    assert train_test["metrics_without"]["mcc"]["value"] is not None
    assert pretraining["found"] is None and "not compared" in pretraining["reason"]
    assert body["learning_curve"][-1]["labels"] == 80
    assert list(body["strata"]) == ["gc", "length"]  # of eight chromosomes none has 30 rows
    assert evidence.cost.bases > 0 and evidence.cost.seconds > 0
    assert (out / "calibration.svg").read_text().startswith("<svg")
    assert (out / "learning_curve.svg").exists()
    assert "longer than the model's l_max" in (out / "set_apart.tsv").read_text()
    for words_there in ("kmer_logistic", "probe minus", "2 exact", "labels saved", "task.json"):
        assert words_there in printed
    json.loads((out / "task.json").read_text(), parse_constant=pytest.fail)  # no NaN


@pytest.mark.parametrize(
    "words",
    [
        ["--train", "train.csv"],
        ["--preset", "gb:human_ocr_ensembl"],
        ["--preset", "gb:human_ocr_ensembl", "--data", ".", "--train", "train.csv"],
        ["--train", "train.csv", "--test", "test.csv", "--without", "luck"],
        ["--train", "train.csv", "--test", "test.csv", "--shots", "3"],
        ["--train", "train.csv", "--test", "test.csv", "--method", "prayer"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(folder: Path, words: list[str]) -> None:
    found = CliRunner().invoke(app, ["eval", "task", str(folder / "run"), "--out", str(folder / "not"), *words])
    assert found.exit_code == 2
    assert not (folder / "not").exists()


def test_a_bad_table_leaves_nothing(folder: Path) -> None:
    (folder / "bad.csv").write_text("sequence,label\nACGT,1\nACGA,1\n")
    words = ["--train", folder / "bad.csv", "--test", folder / "test.csv", "--out", folder / "not"]
    found = CliRunner().invoke(app, [str(word) for word in ("eval", "task", folder / "run", *words)])
    assert isinstance(found.exception, InputError)
    assert not (folder / "not").exists()


def test_presets_are_listed_and_shown() -> None:
    assert "nt:splice_sites_all" in hdna("eval", "presets")
    assert "huggingface.co" in hdna("eval", "presets", "nt:H3")

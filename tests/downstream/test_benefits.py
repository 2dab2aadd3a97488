"""The benefit report says what the evidence says, and says what is missing."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import evidence_files, made_up_run
from support.report_page import Page, curve, figures
from typer.main import get_command
from typer.testing import CliRunner

from hdna.checkpoint import RunState, load_run_or_checkpoint
from hdna.cli import app
from hdna.downstream.benefits import schema
from hdna.downstream.benefits.gather import is_other
from hdna.downstream.benefits.report import write_benefits
from hdna.errors import InputError

Report = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up run, ten steps of 360 s on two workers, with a checkpoint that loads."""
    folder = tmp_path_factory.mktemp("benefits") / "made up"
    device = {"device": evidence_files.DEVICE}
    lines = [line | {"seconds": 360.0, "workers": 2} for line in made_up_run.metrics()]
    made_up_run.write_run(folder, lines)
    (folder / "environment.json").write_text(json.dumps(device))
    made_up_run.save_whole(folder, RunState(10, 5_120, recipe=made_up_run.RECIPE, data={"0": "ab" * 32}))
    return folder


@pytest.fixture(scope="module")
def checksum(run: Path) -> str:
    return load_run_or_checkpoint(str(run)).checksum


@pytest.fixture
def evidence(tmp_path: Path, checksum: str) -> Path:
    """A folder with evidence of every kind about the run's newest checkpoint."""
    evidence_files.write_all(tmp_path / "judged", checksum)
    return tmp_path / "judged"


def report(run: Path, folder: Path, **options: Any) -> tuple[Report, Page]:  # noqa: ANN401
    """The JSON, which must be as the published schema says, and the page."""
    write_benefits(str(run), str(folder), **options)
    found: Report = json.loads((folder / "benefits.json").read_text())
    published = json.loads(schema.published())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.Draft202012Validator(published).validate(found)
    text = (folder / "index.html").read_text()
    assert len(text) < 1_000_000 and "<script" not in text
    return found, Page(text)


def table(page: Page, *columns: str) -> list[list[str]]:
    """The rows of the only table whose head begins with those columns."""
    (found,) = (rows[1:] for rows in page.tables if rows and tuple(rows[0][: len(columns)]) == columns)
    return found


def failure(*words: object) -> str:
    """The error of a command that must be refused."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, InputError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_the_published_schema_is_the_one_that_the_code_makes() -> None:
    assert schema.published() == schema.schema_text()


def test_every_entry_of_the_schema_is_described() -> None:
    for name, definition in schema.benefits_schema()["$defs"].items():
        for key, entry in definition["properties"].items():
            assert entry.get("description") or name == "Estimate", f"{name}.{key}"


def test_the_page_shows_the_figures_of_the_evidence(run: Path, evidence: Path) -> None:
    found, page = report(run, evidence)
    beside = table(page, "Task", "Baseline", "Who wins")
    assert beside[0] == [
        "enhancers by probe: mcc", "kmer_logistic", "kmer_logistic",
        "0.512", "0.634", "−0.122 (−0.172 to −0.072)",
    ]  # fmt: skip
    assert [row[2] for row in beside[:3]] == ["kmer_logistic", "this model", "undecided"]
    context = table(page, "Context", "Bits per base")
    assert context[0] == ["64", "1.9512", "1.9412 to 1.9612", "1.7512", "2.0512", "123,456"]
    assert table(page, "Labels")[0] == [
        "32", "0.200 (0.150 to 0.250)", "0.020 (−0.030 to 0.070)", "+0.180 (+0.130 to +0.230)"
    ]  # fmt: skip
    assert table(page, "Distance")[2][-2:] == ["+0.0500", "−0.0500 to +0.1500"]
    assert table(page, "Context", "HyenaDNA, s")[1] == ["2,048", "1", "2", "2"]
    assert "labelled, auroc" in page.text and "0.511 (0.491 to 0.531)" in page.text
    assert "shuffled, auroc" in page.text and "0.498 (0.448 to 0.548)" in page.text
    cells = [row for rows in page.tables for row in rows]
    assert ["mcc", "0.512 (0.462 to 0.562)"] in [row[:2] for row in cells]
    assert ["Leaks, train test: of 345 test rows", "exact: 3, 0.99: 4, 0.95: 6, 0.90: 7, not compared: 0"] in cells
    assert ["Leaks, train test: mcc without them (338 rows)", "0.487 (0.437 to 0.537)"] in cells
    assert ["Leaks, train test: the same minus cnn", "+0.186 (+0.136 to +0.236)"] in cells
    assert ["Leaks, pretraining test: mcc without them (no row is left)", "–"] in cells
    assert ["gc: 0.300 to 0.412", "115", "0.444 (0.394 to 0.494)"] in cells
    assert found["predictive_performance"]["tasks"][0]["body"]["metrics"]["mcc"] == evidence_files.est(0.512)
    assert found["missing"] == []


def test_figures_are_drawn_from_the_evidence(run: Path, evidence: Path) -> None:
    report(run, evidence)
    drawn = figures((evidence / "index.html").read_text())
    bits = [y for _, y in curve(drawn["context-0"], "curve-0")]
    assert bits == pytest.approx([1.9512, 1.9312], abs=1e-3)
    gains = [y for _, y in curve(drawn["needle-0"], "curve-0")]
    assert gains == pytest.approx([0.4, 0.3, 0.05], abs=5e-3)
    assert {"labels-0", "calibration-0", "attention-0", "attention-0-phone"} <= drawn.keys()


def test_the_verdict_says_who_wins_and_what_is_not_shown(run: Path, evidence: Path) -> None:
    found, page = report(run, evidence)
    said = " ".join(found["verdict"])
    assert "Against kmer_logistic it wins 0 of 2 tasks and loses 2." in said
    assert (
        "Against cnn it wins 2 of 2" in said
        and "Against scratch it wins 0 of 2 tasks and loses 0; 2 undecided:" in said
    )
    assert "It has seen 5,120 tokens, 0.00% of what" in said and "Longer context helps: 0.0200" in said
    assert "AUROC 0.511 (0.491 to 0.531): not shown to differ from chance" in said
    assert "It copies from 64 bases back" in said
    assert "Pretraining saves labels at equal quality in 1 of 1 learning curves" in said
    assert all(sentence in page.text for sentence in found["verdict"])


def test_without_evidence_everything_is_missing_and_nothing_is_claimed(run: Path, tmp_path: Path) -> None:
    found, page = report(run, tmp_path / "judged")
    assert {one["benefit"] for one in found["missing"]} == {
        "predictive_performance",
        "less_labelled_data",
        "simpler_deployment",
        "emergent_uses",
        "human_interface",
    }
    for one in found["missing"]:
        assert f"Missing: {one['what']}. To make it: {one['command']}" in page.text
    assert found["predictive_performance"]["comparisons"] == [] == found["evidence"]
    assert "No labelled task was tried: whether it is of use for any is not known." in found["verdict"]
    assert f"{len(found['missing'])} piece(s) of evidence missing" in page.headings[0]
    assert "Not applicable: DNA sequence only" in page.text


def test_a_task_that_lacks_something_is_not_taken_for_whole(run: Path, tmp_path: Path, checksum: str) -> None:
    bare = evidence_files.task("bare", baselines={}, calibration=[], strata={}, learning_curve=[])
    bare["metrics"].pop("recall_at_k")
    bare["leaks"]["pretraining_test"] = {
        "rows": 345,
        "found": None,
        "metrics_without": None,
        "reason": "not compared: gone",
    }
    evidence_files.write(tmp_path / "judged" / "task.json", "task", checksum, bare)
    found, page = report(run, tmp_path / "judged")
    lacking = " ".join(one["what"] for one in found["missing"])
    for what in (
        "baselines of bare",
        "leaks of bare by probe from the pretraining set",
        "calibration of bare",
        "strata of bare",
        "recall at K",
    ):
        assert what in lacking
    assert "labelled tasks beside baselines" not in lacking
    assert table(page, "Task", "Baseline")[0][1:4] == ["none", "–", "0.512"]


def test_required_evidence_that_is_missing_is_an_error_and_nothing_is_written(run: Path, evidence: Path) -> None:
    words = ("eval", "report", run, "--out", evidence, "--require")
    (evidence / "needle" / "needle.json").rename(evidence / "elsewhere")
    message = failure(*words)
    assert "evidence is missing: use of what was read far back: " in message
    assert not (evidence / "benefits.json").exists() and not (evidence / "index.html").exists()
    (evidence / "elsewhere").rename(evidence / "needle" / "needle.json")
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "0 piece(s) missing" in result.output and str(evidence / "benefits.json") in result.output


def test_evidence_about_other_weights_is_listed_and_not_counted(run: Path, evidence: Path) -> None:
    evidence_files.write(evidence / "old" / "task.json", "task", "ef" * 32, evidence_files.task("stranger"))
    evidence_files.write(evidence / "needle" / "needle.json", "needle", "ef" * 32, evidence_files.NEEDLE)
    found, page = report(run, evidence)
    assert [one["file"] for one in found["other_weights"]] == ["needle/needle.json", "old/task.json"]
    assert "stranger" not in page.text and found["emergent_uses"]["needle"] == []
    assert "use of what was read far back" in [one["what"] for one in found["missing"]]
    assert ["old/task.json", "task", "efefefefefef"] in table(page, "File", "Kind", "Its weights")


def test_costs_are_those_of_the_evidence_by_the_megabase(run: Path, evidence: Path) -> None:
    found, page = report(run, evidence, price_per_hour=9.0)
    costs = {one["file"]: one for one in found["simpler_deployment"]["costs"]}
    scored, embedded, own = costs["context/context.json"], costs["embed.json"], costs["metrics.jsonl"]
    assert scored["seconds_per_megabase"] == pytest.approx(12.0 / 1_500_000 * 1e6)
    assert scored["price"] == pytest.approx(12.0 / 3600 * 9.0)
    assert scored["price_per_megabase"] == pytest.approx(12.0 / 3600 * 9.0 / 1.5)
    assert own["device_seconds"] == 10 * 360.0 * 2 and own["price"] == pytest.approx(18.0)
    assert own["seconds_per_megabase"] == pytest.approx(7200 / 5_120 * 1e6)
    assert own["peak_memory_bytes"] == int(0.6 * 2**30)
    assert embedded["other_device"] and embedded["price"] is None and not scored["other_device"]
    rows = {row[0]: row[1:] for row in table(page, "Work", "Where and when")}
    assert rows["scored: bits per base by context"][1:] == [
        "12", "0.003333", "1.5", "8", "1.50 GiB", "0.03", "0.02"
    ]  # fmt: skip
    assert rows["embedded: 12 sequences"][0] == "NVIDIA H200 (another device), 2026-01-02"
    assert found["simpler_deployment"]["least_memory_bytes"] == 3 * 2**29


def test_without_a_price_only_hours_are_shown(run: Path, evidence: Path) -> None:
    found, page = report(run, evidence)
    assert all(one["price"] is None for one in found["simpler_deployment"]["costs"])
    assert "Price per Mb" not in page.text and "not given (--price)" in page.text
    assert "want what one device costs" in failure("eval", "report", run, "--out", evidence, "--price", "nan")


@pytest.mark.parametrize(
    ("one", "two", "other"),
    [
        ("CPU, 1 thread(s) of 2", "CPU, 2 thread(s) of 2", False),
        ("CPU, 2 thread(s) of 2", "CPU, 2 thread(s) of 16", True),
        ("NVIDIA H100", "NVIDIA H200", True),
        ("", "NVIDIA H200", False),
    ],
)
def test_another_device_is_told_by_its_name_without_threads(one: str, two: str, other: bool) -> None:
    assert is_other(one, two) is other


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("enhancers/task.json", '"mcc"', '"mcc'),
        ("enhancers/task.json", '"task": "enhancers"', '"task": 7'),
        ("enhancers/task.json", '"value": 0.512', '"value": "good"'),
        ("context/context.json", '"contexts": [', '"other": ['),
        ("context/context.json", '"seconds": 12.0', '"seconds": null'),
        ("needle/needle.json", '"version": 1', '"version": 2'),
        ("attention.json", '"rows"', '"lines"'),
    ],
)
def test_damaged_evidence_is_one_line(run: Path, evidence: Path, name: str, before: str, after: str) -> None:
    path = evidence / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    message = failure("eval", "report", run, "--out", evidence)
    assert name in message and re.search("make it again|remove it", message)


def test_a_second_report_is_the_same_to_the_byte(run: Path, evidence: Path) -> None:
    report(run, evidence)
    before = (evidence / "index.html").read_bytes(), (evidence / "benefits.json").read_bytes()
    report(run, evidence)
    assert before == ((evidence / "index.html").read_bytes(), (evidence / "benefits.json").read_bytes())


def test_the_commands_that_it_advises_exist(run: Path, tmp_path: Path, checksum: str) -> None:
    """With no evidence, and with some that lacks the rest: each command, and each of its options."""
    evidence_files.write(tmp_path / "some" / "task.json", "task", checksum, evidence_files.task("t", baselines={}))
    bare = evidence_files.VARIANTS | {"labelled": None, "controls": None}
    evidence_files.write(tmp_path / "some" / "variants.json", "variants", checksum, bare)
    advised = {
        one["command"]
        for folder in ("none", "some")
        for one in report(run, tmp_path / folder)[0]["missing"]
        if one["command"].startswith("hdna ") and "writes it" not in one["command"]
    }
    assert len(advised) > 5
    for line in advised:
        command: Any = get_command(app)
        words = line.removeprefix("hdna ").split()
        while hasattr(command, "commands"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
        needed = {parameter.opts[0] for parameter in command.params if parameter.required}
        assert {name for name in needed if name.startswith("--")} <= set(words), line

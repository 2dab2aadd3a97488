"""The page that compares runs shows what their files say."""

import json
from pathlib import Path

import pytest
from support.made_up_run import BASELINES, RECIPE, metrics, write_run
from support.report_page import Page, curve, figures
from typer.testing import CliRunner

from hdna.cli import app
from hdna.errors import InputError
from hdna.report.comparison import names_of, sooner, write_comparison
from hdna.report.comparison_charts import MOST_COMPARED
from hdna.report.history import read_history

FASTER = {3: 1.99, 6: 1.955, 8: 1.945, 10: 1.94}
"""Valid bits per base of the second run, by step."""


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, of which the second began from weights and has another learning rate."""
    first, second = tmp_path / "scratch", tmp_path / "adapted"
    write_run(first, metrics())
    lines = [
        line | ({"valid_bits_per_base": FASTER[line["step"]]} if line["step"] in FASTER else {}) for line in metrics()
    ]
    write_run(second, lines)
    (second / "baselines.json").write_text(json.dumps(BASELINES | {"source": 1.98, "source_context_length": 64}))
    rate = "optim: {learning_rate: 0.001, global_batch_tokens: 512}"
    (second / "recipe.yaml").write_text(RECIPE.replace("optim: {global_batch_tokens: 512}", rate))
    return first, second


def test_tables_and_figure_hold_both_runs_numbers(runs: tuple[Path, Path]) -> None:
    text = Path(write_comparison([str(run) for run in runs])).read_text()
    summary, differences, _ = Page(text).tables
    assert summary[1:] == [
        ["scratch", "–", "5,120", "1.9510", "256", "1.9300"],
        ["adapted", "1.9800", "5,120", "1.9400", "256", "1.9300"],
    ]
    assert differences == [["Key", "scratch", "adapted"], ["optim.learning_rate", "0.0006", "0.001"]]
    for drawn in (figures(text)["runs"], figures(text)["runs-phone"]):
        for number, expected in enumerate(
            [
                [(1536, 2.005), (3072, 1.975), (4096, 1.96), (5120, 1.951)],
                [(0, 1.98)] + [(512 * k, v) for k, v in FASTER.items()],
            ]
        ):
            points = curve(drawn, f"run-{number}")
            assert [round(tokens) for tokens, _ in points] == pytest.approx([tokens for tokens, _ in expected], abs=3)
            assert [bits for _, bits in points] == pytest.approx([bits for _, bits in expected], abs=1e-3)


def test_it_says_which_is_best_and_when_it_reached_the_others(runs: tuple[Path, Path]) -> None:
    page = Page(Path(write_comparison([str(run) for run in runs])).read_text())
    assert "adapted has the fewest valid bits per base, 1.9400." in page.text
    assert (
        "adapted reached the 1.9510 valid bits per base of scratch after 4,096 tokens, 80% of its 5,120." in page.text
    )
    scratch, adapted = (read_history(str(run)) for run in runs)
    assert sooner(scratch, "a", adapted, "b") == "a has not reached the 1.9400 valid bits per base of b."


def test_the_command_writes_one_page_for_several_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", *map(str, runs), "--out", str(tmp_path / "page")])
    assert done.output.strip() == str(tmp_path / "page" / "comparison.html")
    assert (tmp_path / "page" / "comparison.html").exists()


def test_runs_of_one_name_are_told_apart_by_their_urls(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "deeper" / "scratch"
    other.parent.mkdir()
    write_run(other, metrics())
    assert names_of([read_history(str(run)) for run in (*runs, other)]) == [str(runs[0]), "adapted", str(other)]


def test_other_data_is_said_and_too_many_runs_are_refused(runs: tuple[Path, Path]) -> None:
    for folder in (runs[1] / "checkpoints").iterdir():
        (folder / "state.json").write_text("{}")  # damaged: its data are not known
    assert "different shard sets" in Page(Path(write_comparison([str(run) for run in runs])).read_text()).text
    with pytest.raises(InputError, match="7 runs: a comparison shows 6 at most"):
        write_comparison([str(runs[0])] * (MOST_COMPARED + 1))

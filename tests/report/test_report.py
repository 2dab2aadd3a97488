"""The report shows what the run's files say: checked by an independent parse of the page and its figures."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_up_run import BASELINES, CHECKSUM, RECIPE, MakeRun, metrics, write_run
from support.report_page import Page, curve, figures, marks

from hdna.errors import InputError
from hdna.report.drawing import readable_range
from hdna.report.history import read_history
from hdna.report.page import render, verdict, write_report
from hdna.report.smoothing import MAX_POINTS

SCRIPTS: list[dict[str, str | None]] = [{"type": "application/json", "id": "charts"}, {}, {}]
"""The elements of that name in every page: its data, which no browser runs, and the scripts that draw them."""


def page_of(run: Path) -> Page:
    return Page(Path(write_report(str(run))).read_text())


def test_tables_hold_the_runs_numbers(make_run: MakeRun) -> None:
    ladder, stages, checkpoints, data, _, environment = page_of(make_run()).tables
    assert [row[:2] for row in ladder[1:]] == [
        ["uniform guess", "2.0000"],
        ["unigram", "1.9950"],
        ["order-0 entropy of the split", "1.9900"],
        ["order-5 Markov", "1.9300"],
        ["this run, stage 0 (context 64)", "1.9750"],
        ["this run, stage 1 (context 256)", "1.9510"],
    ]
    assert [row[2] for row in ladder[1:]] == ["−0.0100", "−0.0050", "0.0000", "0.0600", "0.0150", "0.0390"]
    assert stages[1:] == [
        ["0", "64", "6", "3,072", "–", "1.9700", "1.9750"],
        ["1", "256", "4", "2,048", "–", "1.9450", "1.9510"],
    ]
    assert checkpoints[1:] == [["step-000005", "5", "2.0 MiB"], ["step-000010", "10", "2.0 MiB"]]
    assert ["Checksum of set 0", CHECKSUM] in data
    assert ["Train bases counted by the simple models", "9,000"] in data
    assert environment == [["torch", "9.9"], ["device", "CPU <b>&"]]


def test_a_stage_of_several_contexts_has_a_row_for_each(make_run: MakeRun) -> None:
    lines = metrics()
    for line in lines:
        if line["stage"] == 1 and line["step"] % 2:
            line["context_length"] = 128
    lines[-1]["valid_bits_by_context"] = {"256": 1.951, "128": 1.96}
    lines[-1]["context_length"] = 128  # an evaluation is at the longest, whatever the step's
    run = make_run(lines)
    stages, history = page_of(run).tables[1], read_history(str(run))
    assert history.scored_context == 256
    assert stages[1:] == [
        ["0", "64", "6", "3,072", "–", "1.9700", "1.9750"],
        ["1", "256", "1", "512", "–", "1.9550", "1.9510"],
        ["1", "128", "3", "1,536", "–", "1.9450", "1.9600"],
    ]


def test_the_weights_that_it_began_with_stand_beside_the_simple_models(make_run: MakeRun) -> None:
    run = make_run()
    (run / "baselines.json").write_text(json.dumps(BASELINES | {"source": 1.962, "source_context_length": 64}))
    ladder = page_of(run).tables[0]
    assert ladder[5][:2] == ["the weights it began with (context 64)", "1.9620"]
    drawn = figures(Path(write_report(str(run))).read_text())
    assert curve(drawn["bits"], "source")[0][1] == pytest.approx(1.962, abs=1e-3)


def test_summary_says_what_the_comparison_means(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert page.headings[0] == "made & up finished"
    assert "At 1.951 valid bits per base the model is 0.039 below the order-0 entropy" in page.text
    assert "has not reached an order-5 Markov model (1.930)" in page.text
    assert "Stage 1 (context 256) is 0.024 below where stage 0 (context 64) ended" in page.text
    assert "1 of 10 steps had a non-finite loss or gradient and changed nothing: step 4." in page.text


@pytest.mark.parametrize(
    ("bits", "words"), [(1.90, "also beats an order-5 Markov"), (2.01, "has not yet learned more than the composition")]
)
def test_verdict_follows_the_numbers(make_run: MakeRun, bits: float, words: str) -> None:
    lines = metrics()
    lines[-1]["valid_bits_per_base"] = bits
    assert words in verdict(read_history(str(make_run(lines))))


def test_figures_draw_the_runs_numbers(make_run: MakeRun) -> None:
    text = Path(write_report(str(make_run()))).read_text()
    drawn = figures(text)
    assert set(drawn) == {"bits", "bits-phone", "rate", "speed", "memory", "norm"}
    scored = [line for line in metrics() if "valid_bits_per_base" in line]

    def expect(figure: str, gid: str, lines: list[dict[str, Any]], key: str) -> None:
        wanted = [(line["tokens"], line[key]) for line in lines]
        span = max(value for _, value in wanted)
        assert len(curve(drawn[figure], gid)) == len(wanted)
        for (tokens, value), (x, y) in zip(wanted, curve(drawn[figure], gid), strict=True):
            assert x == pytest.approx(tokens, abs=2) and y == pytest.approx(value, abs=2e-3 * span)

    for figure in ("bits", "bits-phone"):
        expect(figure, "valid", scored, "valid_bits_per_base")
        for bar in ("entropy", "unigram", "markov"):
            assert curve(drawn[figure], bar)[0][1] == pytest.approx(BASELINES[bar], abs=1e-3)
    expect("rate", "rate", metrics(), "learning_rate")
    expect("speed", "speed", metrics(), "tokens_per_second")
    expect("memory", "memory", metrics(), "memory_gib")


def test_train_curve_breaks_at_the_skipped_step(make_run: MakeRun) -> None:
    drawn = figures(Path(write_report(str(make_run()))).read_text())["bits"]
    points = curve(drawn, "train")
    bits = {round(x / 512): y for x, y in points}
    assert 4 not in bits
    for line in metrics()[4:]:
        assert bits[line["step"]] == pytest.approx(line["bits_per_base"], abs=2e-3)
    assert [round(x / 512) for x in marks(drawn, "skipped")] == [4]


def test_every_text_is_escaped(make_run: MakeRun) -> None:
    run = make_run()
    (run / "state.json").write_text(json.dumps({"status": "<script>1</script>"}))
    (run / "environment.json").write_text(json.dumps({"<script>": "<img src=x onerror=alert(1)>"}))
    page = page_of(run)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "link", "iframe", "object", "b"}
    assert [attributes for tag, attributes in page.elements if tag == "script"] == SCRIPTS
    assert RECIPE in page.text and "data/<script>alert(1)</script>" in page.tables[3][0]
    assert page.tables[5] == [["<script>", "<img src=x onerror=alert(1)>"]]


def test_the_deepest_nesting_that_can_be_read_can_be_shown(make_run: MakeRun) -> None:
    run = make_run()

    def nest(depth: int) -> bool:
        (run / "environment.json").write_text('{"device": ' + "[" * depth + "]" * depth + "}")
        return bool(read_history(str(run)).environment)

    deepest = next(depth for depth in range(1000, 0, -1) if nest(depth))
    assert "[" * deepest in page_of(run).text


def test_page_refers_to_nothing_outside_itself(make_run: MakeRun) -> None:
    text = re.sub("<script>.*?</script>", "", Path(write_report(str(make_run()))).read_text(), flags=re.DOTALL)
    for tag, attributes in Page(text).elements:
        for name, value in attributes.items():
            assert name not in ("src", "srcset", "data", "action"), (tag, name)
            assert not name.startswith("on"), (tag, name)
            assert "href" not in name or (value or "").startswith("#") or value == "metrics.csv", (tag, value)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert set(re.findall(r'\bhttps?://[^"\s]*', text)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_ids_are_unique_and_references_hold(make_run: MakeRun) -> None:
    text = re.sub("<script>.*?</script>", "", Path(write_report(str(make_run()))).read_text(), flags=re.DOTALL)
    ids = [attributes["id"] for _, attributes in Page(text).elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_figures_have_names_and_captions(make_run: MakeRun) -> None:
    page = page_of(make_run())
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("figcaption") == tags.count("figure") == 5 and tags.count("h1") == 1


def test_same_run_gives_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    first = Path(write_report(str(run))).read_bytes()
    target = write_report(str(run), str(tmp_path / "elsewhere"))
    assert target == str(tmp_path / "elsewhere" / "index.html")
    assert Path(target).read_bytes() == first


def test_run_in_progress_with_half_a_line(make_run: MakeRun) -> None:
    run = make_run(metrics()[:7])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "tokens": 40')
    (run / "state.json").write_text('{"status": "running"}')
    for name in ("baselines.json", "environment.json"):
        (run / name).unlink()
    page = page_of(run)
    assert page.headings[0] == "made & up in progress"
    assert page.tables[1][2] == ["1", "256", "1", "512", "–", "1.9600", "–"]
    assert "no evaluation on a valid split to compare" in page.text


def test_card_names_the_context_that_was_scored(make_run: MakeRun) -> None:
    """Stage 1 has begun but is not evaluated yet: the newest score is stage 0's."""
    assert "Valid bits/base1.975context 64" in page_of(make_run(metrics()[:7])).text


def test_first_step_alone_can_be_shown(make_run: MakeRun) -> None:
    assert "Stages of the curriculum" in page_of(make_run(metrics()[:1])).headings


def test_run_whose_every_step_was_skipped_can_be_shown(make_run: MakeRun) -> None:
    lines = [{**line, "bits_per_base": None, "loss": None, "grad_norm": None} for line in metrics()[:2]]
    assert "2 of 2 steps" in page_of(make_run(lines)).text


def test_step_written_twice_counts_once(make_run: MakeRun) -> None:
    history = read_history(str(make_run([*metrics(), {**metrics()[9], "bits_per_base": 1.5}])))
    assert [step.step for step in history.steps] == list(range(1, 11)) and history.steps[-1].bits_per_base == 1.5


def test_lines_without_a_step_and_numbers_that_are_not_finite_are_left_out(make_run: MakeRun) -> None:
    run = make_run([{"no": "step"}, {"step": "<b>"}, *metrics()])
    (run / "baselines.json").write_text('{"entropy": NaN, "unigram": "x", "markov": true}')
    assert read_history(str(run)).baselines == {}
    assert len(page_of(run).tables[0]) == 1 + 3


def test_recipe_of_another_version_is_shown_as_text(make_run: MakeRun) -> None:
    run = make_run()
    (run / "recipe.yaml").write_text("unheard_of: 1\n")
    assert "unheard_of: 1" in page_of(run).text


@pytest.mark.parametrize(("recipe", "words"), [(False, "not a run"), (True, "has no steps in metrics.jsonl yet")])
def test_no_metrics_is_one_clear_line(tmp_path: Path, recipe: bool, words: str) -> None:
    if recipe:
        (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(InputError, match=words):
        write_report(str(tmp_path))
    assert not (tmp_path / "report").exists()


def test_long_run_is_thinned_by_means(make_run: MakeRun) -> None:
    pattern = metrics()[6]
    lines = [{**pattern, "step": n, "tokens": 512 * n, "bits_per_base": 1.9 + 0.1 * (n % 2)} for n in range(1, 4001)]
    text = render(read_history(str(make_run(lines))))
    points = curve(figures(text)["bits"], "train")
    assert 2 <= len(points) <= MAX_POINTS
    assert all(y == pytest.approx(1.95, abs=2e-3) for _, y in points)
    assert "the running mean over 81 steps" in text


def test_readable_range_is_not_ruled_by_the_first_steps() -> None:
    low, high = readable_range(np.array([9.0, 5.0, *[1.95] * 48]), [2.0, 1.9])
    assert 1.85 < low < 1.9 and 2.0 < high < 2.1


def test_what_a_run_has_cost_and_what_interrupted_it(tmp_path: Path) -> None:
    """Half of an hour of two workers' life went into steps; the run was heard of for the last time long ago."""
    lines = [line | {"seconds": 180.0, "workers": 2, "bucket_read_bytes": 2**20} for line in metrics()]
    write_run(tmp_path / "run", lines)
    state = {"status": "running", "heartbeat": "2026-01-02T03:04:05Z", "wall_seconds": 3600.0}
    restarts = [{"time": "2026-01-02T01:00:00Z", "step": 7, "cause": "worker 1 was lost: <b>"}]
    (tmp_path / "run" / "state.json").write_text(json.dumps(state | {"restarts": restarts}))
    page = page_of(tmp_path / "run")
    assert "last heard of at 2026-01-02T03:04:05Z" in page.text
    assert "have lived for 1.00 hours in all, 50.0% of them in steps that count" in page.text
    assert "worker 1 was lost: <b>" in page.text
    ledger = page.tables[2]
    assert [[*row[:3], *row[-2:]] for row in ledger[1:]] == [
        ["0", "0.30", "0.60", "6.0 MiB", "0.0 MiB"],
        ["1", "0.20", "0.40", "4.0 MiB", "0.0 MiB"],
        ["all", "0.50", "1.00", "10.0 MiB", "0.0 MiB"],
    ]


def flops_by_hand(length: int, points: int, doublings: int, samples: int) -> float:
    """Per token of the made-up model: D = 16, 2 layers, order 2, MLP and filter 64 wide, 5 positional features.

    Six per weight and for each of three taps of three streams; two gates; on `points` = 2^doublings of a channel, five
    transforms of a sample and three of a filter, which `samples` share, and three products of half as many complex
    numbers.
    """
    weights = 16 * 48 + 16 * 16 + 2 * 16 * 64
    taps_and_gates = 6 * 3 * 48 + 3 * 2 * 16
    transform = 2.5 * points * doublings / length
    convolution = 16 * ((5 + 3 / samples) * transform + 3 * 6 * points / 2 / length)
    implicit_filter = 6 * (5 * 64 + 2 * 64 * 64 + 64 * 16) / samples
    return 2 * (6 * weights + taps_and_gates + convolution + implicit_filter) + 6 * 16 * 16


def ledger_of(run: Path, device: str, precision: str, seconds: float) -> list[dict[str, str]]:
    """The rows of "What it took" by column, of ten steps of 512 tokens with two workers."""
    write_run(run, [line | {"seconds": seconds, "workers": 2} for line in metrics()])
    (run / "environment.json").write_text(json.dumps({"device": device}))
    (run / "recipe.yaml").write_text(f"{RECIPE}parallel: {{workers: 2, precision: {precision}}}\n")
    head, *rows = page_of(run).tables[2]
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.parametrize(("precision", "peak"), [("bf16", 989e12), ("fp32", 67e12)])
def test_mfu_is_model_flops_in_the_workers_time_at_the_data_sheets_peak(
    tmp_path: Path, precision: str, peak: float
) -> None:
    """Eight samples of 64 tokens a step make micro-batches of two on each worker, two of 256 make one."""
    seconds = 1e-7  # as long as so small a model takes on two H100s at a quarter of their peak
    rows = ledger_of(tmp_path / "run", "NVIDIA H100 80GB HBM3", precision, seconds)
    counts = [(6, 512 * flops_by_hand(64, 128, 7, 2)), (4, 512 * flops_by_hand(256, 512, 9, 1))]
    flops = [steps * each for steps, each in counts]
    for row, wanted, steps in zip(rows, [*flops, sum(flops)], (6, 4, 10), strict=True):
        rate = wanted / (2 * seconds * steps)
        assert row["Model FLOPs"] == f"{wanted:.2e}"
        assert row["TFLOP/s per worker"] == f"{rate / 1e12:.3g}" and row["MFU"] == f"{rate / peak:.1%}"


@pytest.mark.parametrize("device", ["CPU, 2 thread(s) of 2", "NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"])
def test_where_the_peak_is_unknown_the_rate_is_shown_alone(tmp_path: Path, device: str) -> None:
    """A PCIe card is slower than the SXM module of the same chip, and a part of a device than the whole."""
    first, *_ = ledger_of(tmp_path / "run", device, "bf16", 0.5)
    assert "MFU" not in first
    assert first["TFLOP/s per worker"] == f"{512 * flops_by_hand(64, 128, 7, 2) / 1e12:.3g}"


def test_flops_need_a_recipe_that_has_the_stages(tmp_path: Path) -> None:
    """In a run of another version, or with damaged files, time and bytes are still shown."""
    lines = [line | {"seconds": 1800.0, "workers": 2, "stage": 2} for line in metrics()]
    write_run(tmp_path / "run", lines)
    assert page_of(tmp_path / "run").tables[2][1][:5] == ["2", "5.00", "10.00", "–", "–"]

"""What the page's scripts are given is what the run's files say, and the page says first what a reader asks first."""

import csv
import io
import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_up_run import BASELINES, RECIPE, MakeRun, metrics, write_run
from support.report_page import Page

from hdna.config import list_recipes
from hdna.report.history import read_history
from hdna.report.metrics_csv import metrics_csv
from hdna.report.page import render, write_report
from hdna.report.plots import chart_svg
from hdna.report.run_charts import RunCharts
from hdna.report.smoothing import apart, running_mean

BEGUN = 1_767_323_045  # 2026-01-02T03:04:05Z


def timed(lines: list[dict[str, Any]], pause_before: int = 0) -> list[dict[str, Any]]:
    """The lines as of two workers that took a minute for each step, with an hour's pause before one of them."""
    from datetime import UTC, datetime

    found, clock = [], BEGUN
    for line in lines:
        clock += 60 + 3600 * (line["step"] == pause_before)
        time = datetime.fromtimestamp(clock, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found.append(line | {"time": time, "seconds": 60.0, "workers": 2, "data_wait_fraction": 0.01 * line["step"]})
    return found


def data_of(text: str) -> dict[str, Any]:
    """What the page holds for its scripts."""
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def facts_of(text: str) -> dict[str, str]:
    pairs = re.findall(r"<div><dt>([^<]*)</dt><dd>([^<]*)</dd></div>", text)
    return dict(pairs)


def test_only_the_pages_own_scripts_may_run(make_run: MakeRun) -> None:
    """The hashes are those that a browser counts: of what stands between the tags."""
    text = Path(write_report(str(make_run()))).read_text()
    policy = next(a["content"] for tag, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src {' '.join(hashes)}"
    assert len(scripts) == 2


def test_scripts_get_the_runs_numbers_by_tokens_steps_and_hours(tmp_path: Path) -> None:
    write_run(tmp_path / "run", timed(metrics()))
    data = data_of(render(read_history(str(tmp_path / "run"))))
    assert data["units"] == ["tokens", "steps", "hours"]
    bits = next(chart for chart in data["charts"] if chart["name"] == "bits")
    train, valid = bits["series"]
    points = data["along"][train["along"]]
    assert points["tokens"] == [512 * n for n in range(1, 11)] and points["steps"] == list(range(1, 11))
    assert points["hours"] == pytest.approx([n / 60 for n in range(1, 11)], rel=1e-4)
    assert train["y"] == [line["bits_per_base"] for line in metrics()]
    assert valid["y"] == [2.005, 1.975, None, 1.96, 1.951]  # not joined from one stage to the next
    levels = {level["role"]: level["value"] for level in bits["levels"]}
    assert levels == {"uniform": 2, **{name: BASELINES[name] for name in ("unigram", "entropy", "markov")}}
    assert [(s["begin"]["steps"], s["end"]["steps"]) for s in data["stages"]] == [(0, 6), (6, 10)]


def test_a_running_runs_axis_ends_where_the_curriculum_does(make_run: MakeRun) -> None:
    run = make_run(metrics()[:4])
    (run / "state.json").write_text('{"status": "running"}')
    history = read_history(str(run))
    frame = RunCharts(history).frame()
    assert frame.end == {"tokens": 5120, "steps": 10}
    assert [(s.begin["tokens"], s.end["tokens"]) for s in frame.stages] == [(0, 3072), (3072, 5120)]
    (run / "state.json").write_text('{"status": "stopped"}')
    assert RunCharts(read_history(str(run))).frame().end == {"tokens": 2048, "steps": 4}


def test_running_mean_is_the_mean_around_each_step_of_its_stage() -> None:
    random = np.random.default_rng(1)
    y = random.normal(size=400)
    y[17] = np.nan
    stages = [0] * 150 + [1] * 250
    smooth, over = running_mean(y, stages)
    assert smooth is not None and over == 9
    for k in range(400):
        near = [y[j] for j in range(k - 4, k + 5) if 0 <= j < 400 and stages[j] == stages[k] and not np.isnan(y[j])]
        assert np.isnan(smooth[k]) if k == 17 else smooth[k] == pytest.approx(np.mean(near), abs=1e-12)


def test_labels_stay_apart_and_near_their_lines() -> None:
    random = np.random.default_rng(2)
    for _ in range(200):
        places = random.uniform(0, 1, 6).tolist()
        moved = apart(places, 0.1, 0.0, 1.0)
        order = np.argsort(places, kind="stable")
        ends = np.array(moved)[order]
        assert (np.diff(ends) >= 0.1 - 1e-9).all() and ends[0] >= -1e-9 and ends[-1] <= 1 + 1e-9
    assert apart([0.2, 0.5, 0.9], 0.1, 0.0, 1.0) == [0.2, 0.5, 0.9]


def test_facts_come_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, timed(metrics(), pause_before=5))
    state = {"status": "done", "heartbeat": "2026-01-02T05:00:00Z", "wall_seconds": 3900.0, "worker_seconds": 7200.0}
    state |= {"command": "hdna train mine", "commit": "abc123", "driver": {"host": "node-1", "pid": 1, "since": "x"}}
    (run / "state.json").write_text(json.dumps(state))
    (run / "environment.json").write_text(json.dumps({"hdna": "9.9", "device": "NVIDIA H100 80GB HBM3"}))
    text = render(read_history(str(run)))
    facts = facts_of(text)
    assert next(iter(facts)) == "Begun" and facts["Begun"] == "2026-01-02 03:04:05 UTC"
    assert facts["Ended"] == "2026-01-02 05:00:00 UTC" and facts["Time at work"] == "1 h 5 min"
    assert facts["Resumed"] == "once, after step 4" and "resumed 1×" in Page(text).headings[0]
    assert facts["Command"] == "hdna train mine" and facts["Code"] == "hdna 9.9, commit abc123"
    assert facts["Machine"] == "NVIDIA H100 80GB HBM3; 2 workers; driver on node-1" and facts["GPU-hours"] == "2.00"
    assert text.index("Begun") < text.index("Against simple models")


def test_each_set_and_the_test_split_are_shown_where_a_run_has_them(make_run: MakeRun) -> None:
    lines = metrics()
    for line in (lines[7], lines[9]):
        yeast = {"bits_per_base": 1.93, "bases": 1000, "repeats": 1.8, "unique": 1.94}
        line["valid_sets"] = {"yeast": yeast, "<worm>": {"bits_per_base": 1.97, "bases": 234, "repeats": None}}
    run = make_run(lines)
    sets = {"yeast": {"entropy": 1.96, "unigram": 1.97, "markov": 1.92}}
    (run / "baselines.json").write_text(json.dumps(BASELINES | {"sets": sets}))
    whole = {"bits_per_base": 1.95, "bases": 50, "sets": {"yeast": {"bits_per_base": 1.955, "bases": 50}}}
    (run / "test.json").write_text(json.dumps(whole))
    text = render(read_history(str(run)))
    tables = Page(text).tables
    assert tables[1][1:] == [
        ["yeast", "1.9300", "1.8000", "1.9400", "1,000", "1.9600", "1.9200"],
        ["<worm>", "1.9700", "–", "–", "234", "–", "–"],
    ]
    assert tables[2][1:] == [["yeast", "1.9550", "–", "–", "50"]]
    chart = next(chart for chart in data_of(text)["charts"] if chart["name"] == "sets")
    assert [series["y"] for series in chart["series"]] == [[1.97, 1.97], [1.93, 1.93]]


def test_damaged_scores_of_sets_are_left_out(make_run: MakeRun) -> None:
    lines = metrics()
    lines[9]["valid_sets"] = {"a": "<b>", "c": {"bits_per_base": True}}
    run = make_run(lines)
    (run / "test.json").write_text("[")
    assert "By assembly" not in Page(render(read_history(str(run)))).headings


def test_every_figure_is_described(make_run: MakeRun) -> None:
    text = Path(write_report(str(make_run()))).read_text()
    words = re.findall(r'<desc id="([^"]*)-desc">([^<]*)</desc>', text)
    assert {name for name, _ in words} == {"bits", "bits-phone", "rate", "speed", "memory", "norm"}
    described = dict(words)
    assert "train: first 4.0000, lowest 1.9450, last 1.9450." in described["bits"]
    assert "valid: first 2.0050, lowest 1.9510, last 1.9510." in described["bits"]
    assert described["norm"].startswith("gradient norm: first 1, highest 1, last 0.1.")


def test_what_differs_from_the_nearest_shipped_recipe(make_run: MakeRun) -> None:
    run = make_run()
    shipped = list_recipes()["tiny_1k"].read_text()
    (run / "recipe.yaml").write_text(shipped.replace("clip_norm: 1.0", "clip_norm: 0.7"))
    assert "clip_norm: 1.0" in shipped
    page = Page(render(read_history(str(run))))
    assert [["Key", "This run", "tiny_1k"], ["optim.clip_norm", "0.7", "1.0"]] in page.tables
    (run / "recipe.yaml").write_text(shipped)
    assert "The shipped recipe tiny_1k" in Page(render(read_history(str(run)))).text
    (run / "recipe.yaml").write_text(RECIPE)


def test_csv_has_a_line_for_each_step(make_run: MakeRun) -> None:
    lines = metrics()
    lines[9]["valid_bits_by_context"] = {"256": 1.951}
    run = make_run(lines)
    write_report(str(run))
    text = (run / "report" / "metrics.csv").read_bytes()
    assert text == metrics_csv(read_history(str(run)).steps)
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [int(row["step"]) for row in rows] == list(range(1, 11))
    assert [row["bits_per_base"] for row in rows[2:5]] == ["2.0", "", "1.98"]
    assert json.loads(rows[9]["valid_bits_by_context"]) == {"256": 1.951} and "mfu" not in rows[0]


def test_the_clip_is_a_line_and_minus_is_a_minus(make_run: MakeRun) -> None:
    lines = [line | {"learning_rate": 1e-5 * line["step"]} for line in metrics()]
    text = render(read_history(str(make_run(lines))))
    norm = next(chart for chart in data_of(text)["charts"] if chart["name"] == "norm")
    assert norm["levels"] == [{"label": "clip", "role": "entropy", "value": 1}]
    rate = re.search(r'<desc id="rate-desc">(.*?)</desc>', text)
    assert rate and "first 1e−05" in rate[1]


def test_a_page_of_a_long_run_with_many_sets_is_small(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    lines = []
    for step in range(1, 8001):
        noise = random.normal()
        line = metrics()[6] | {"step": step, "tokens": 512 * step, "bits_per_base": 1.93 + 0.01 * noise}
        line |= {"grad_norm": float(np.exp(noise)), "tokens_per_second": 1e4 + noise, "memory_gib": 1.0 + noise / 10}
        if step % 100 == 0:
            line["valid_sets"] = {f"set {k}": {"bits_per_base": 1.9 + k / 100, "bases": 9} for k in range(6)}
            line["valid_bits_per_base"] = 1.94
        lines.append(line)
    write_run(tmp_path / "run", timed(lines))
    text = render(read_history(str(tmp_path / "run")))
    assert len(text.encode()) < 300_000


def test_labels_of_the_drawing_say_each_lines_value(make_run: MakeRun) -> None:
    charts = RunCharts(read_history(str(make_run())))
    drawn = chart_svg(charts.bits(), charts.frame())
    for label in ("train 1.9450", "valid 1.9510", "uniform 2.0000", "order 0 1.9900", "order 5 1.9300"):
        assert f">{label}</text>" in drawn

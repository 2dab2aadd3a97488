"""What `hdna eval task` prints: a row for each method, differences, leaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from hdna.cli.columns import right_aligned

_SHOWN = ("mcc", "accuracy", "auroc", "ece", "spearman", "r2")
"""Beside the main figure; all are in task.json."""


def task_text(body: Mapping[str, Any]) -> str:
    """The tables of a task's evidence."""
    main = body["main"]
    names = [name for name in dict.fromkeys((main, *_SHOWN)) if name in body["metrics"]]
    rows = [["", *names], [body["method"], *_cells(body["metrics"], names)]]
    rows += [[name, *_cells(own["metrics"], names)] for name, own in body["baselines"].items()]
    parts = [
        f"{body['task']} ({body['kind']}), {body['rows']['test']:,} test rows; 95 % intervals, "
        f"{body['draws']:,} draws of {body['resampled']}",
        right_aligned(rows),
    ]
    if body["baselines"]:
        rows = [[f"{body['method']} minus", *names]]
        rows += [[name, *_cells(own["difference"], names)] for name, own in body["baselines"].items()]
        parts.append(right_aligned(rows))
    parts.append("\n".join(_leaks(body, main)))
    if body["learning_curve"]:
        parts.append(_curve(body))
    return "\n\n".join(parts)


def _cells(estimates: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [_cell(estimates[name]) for name in names]


def _cell(estimate: Mapping[str, float | None]) -> str:
    value, low, high = (estimate[part] for part in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _leaks(body: Mapping[str, Any], main: str) -> list[str]:
    lines = []
    for key, where in (("train_test", "the train rows"), ("pretraining_test", "the pretraining set")):
        own = body["leaks"][key]
        if own["found"] is None:
            lines.append(f"test rows in {where}: {own['reason']}")
            continue
        found = ", ".join(f"{count:,} {_band(band)}" for band, count in own["found"].items())
        without = own["metrics_without"]
        shown = "no row is left without them" if without is None else f"{main} without them {_cell(without[main])}"
        reason = f"; {own['reason']}" if own.get("reason") else ""
        lines.append(f"test rows in {where}: {found}; {shown}{reason}")
    return lines


def _band(name: str) -> str:
    return name.replace("_", " ") if not name[0].isdigit() else f"at {float(name):.0%} or more"


def _curve(body: Mapping[str, Any]) -> str:
    names = ("pretrained", "scratch", "difference")
    rows = [["labels", *names]]
    rows += [[f"{own['labels']:,}", *(_cell(own[name]) for name in names)] for own in body["learning_curve"]]
    saved = _cell(body["labels_saved"]["share"])
    return f"{right_aligned(rows)}\nshare of labels saved at the quality of scratch with all: {saved}"

"""Writes the tables of bench/README.md, its figure, and that of docs/adapt.md, from the JSON in bench/results.

    python bench/tables.py

A table stands between `<!-- NAME -->` and `<!-- end -->`, NAME being one of TABLES.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, README, FIGURE = HERE / "results", HERE / "README.md", HERE / "results" / "speed.svg"
ADAPTATION = HERE.parent / "docs" / "adaptation.svg"
SIDES = ("reference", "reference_odd", "compiled", "attention")
MARK = re.compile(r"<!-- ([\w/-]+/[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
Rows = list[dict[str, Any]]


def model_step(rows: Rows) -> str:
    """Ours in seconds, others by how many times as long they take for a token."""
    head = ["context (samples)", "hdna, s", "tokens/s", "TFLOP/s", "of the peak"]
    head += ["reference, L", "reference, L - 1", "compiled", "attention", "kept, bytes a token"]
    return _table(
        head,
        (
            [
                f"{row['length']:,} ({row['batch']})",
                _number(row["seconds"]["ours"]),
                f"{row['tokens_per_second']:,.0f}",
                f"{row['tflops']:.3f}",
                f"{row['mfu']:.0%}",
                *(_times(row["ratios"].get(name)) for name in SIDES),
                f"{row['kept_bytes_per_token']:,.0f}",
            ]
            for row in rows
        ),
    )


def steps(rows: Rows) -> str:
    """Of published geometries, beside `hdna plan`."""
    head = ["model, samples × context", "step, s", "tokens/s", "TFLOP/s", "memory, GiB", "`hdna plan` says", "bound, s"]
    return _table(
        head,
        (
            [
                row["case"].replace(" x ", " × ") + (", checkpointing" if row["checkpointing"] else ""),
                _number(row["seconds"]),
                f"{row['tokens_per_second']:,.0f}",
                f"{row['model_tflops']:.0f}",
                f"{row['peak_gib']:.1f}",
                f"{row['planned_gib']:.1f}",
                _number(row["bound_seconds"]),
            ]
            for row in rows
            if "error" not in row
        ),
    )


def convolution(rows: Rows) -> str:
    """Milliseconds of the gated long convolution of 256 channels, forward and backward."""
    head = ["context (samples)", "dtype", "hdna, ms", "torch.fft, ms", "times"]
    return _table(
        head,
        (
            [
                f"{row['length']:,} ({row['batch']})",
                row["dtype"],
                _number(row["ours_ms"]),
                _number(row["torch_ms"]),
                _times(row["ratio"]),
            ]
            for row in rows
        ),
    )


def attention(rows: Rows) -> str:
    """HyenaDNA against a Transformer, both recomputed."""
    head = ["context", "hdna, s", "Transformer, s", "times", "attention by"]
    keys = ("hyena_seconds", "attention_seconds")
    return _table(
        head,
        (
            [
                f"{row['context_length']:,}",
                *(_number(row[key]) for key in keys),
                _times(row["ratio"]),
                row["attention"].removesuffix("_attention"),
            ]
            for row in rows
        ),
    )


TABLES: dict[str, Callable[[Rows], str]] = {
    "cpu-2-cores/model_step": model_step,
    "cpu-2-cores/model_step_tuned": model_step,
    "cpu-2-cores/attention": attention,
    "nvidia-h200/model_step": model_step,
    "nvidia-h200/steps": steps,
    "nvidia-h200/convolution": convolution,
}
"""The file of each below RESULTS, and what makes its table."""


def rendered(text: str) -> str:
    """The text with its tables as the JSON has them."""

    def table(match: re.Match[str]) -> str:
        rows = json.loads((RESULTS / f"{match[1]}.json").read_text())["rows"]
        return f"<!-- {match[1]} -->\n{TABLES[match[1]](rows)}\n<!-- end -->"

    return MARK.sub(table, text)


def draw() -> None:
    """Seconds of forward and backward pass by context length, on each device, both axes logarithmic."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "hdna"  # the same file from the same figures
    figure = Figure(figsize=(9, 4), layout="constrained")
    names = {"ours": "hdna", "reference": "reference", "reference_odd": "reference at L - 1", "attention": "attention"}
    panels = {"cpu-2-cores": "two CPU cores, 2 layers of 128, fp32", "nvidia-h200": "H200, 8 layers of 256, bf16"}
    for axes, (folder, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        rows = json.loads((RESULTS / folder / "model_step.json").read_text())["rows"]
        for side, name in names.items():
            points = [(row["length"], row["seconds"][side] / row["batch"]) for row in rows if side in row["seconds"]]
            if points:
                axes.loglog(*zip(*points, strict=True), "o-", label=name, base=10)
        axes.set(title=title, xlabel="context length", ylabel="seconds of a sample, forward and backward")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(FIGURE, metadata={"Date": None})


def draw_adaptation() -> None:
    """Valid bits per base by tokens, adapted and from scratch, with the order-5 Markov model's."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "hdna"
    rows = json.loads((RESULTS / "cpu-2-cores" / "adaptation.json").read_text())["rows"]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        tokens, bits = zip(*row["valid"], strict=True)
        axes.plot([count / 1e6 for count in tokens], bits, "o-", markersize=3, label=row["run"])
    axes.axhline(rows[0]["markov"], color="grey", linestyle="--", label="order-5 Markov")
    axes.set(xlabel="million tokens of C. elegans", ylabel="valid bits per base")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(ADAPTATION, metadata={"Date": None})


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def main() -> None:
    """Rewrite README.md and draw the figures."""
    README.write_text(rendered(README.read_text()))
    draw()
    draw_adaptation()


if __name__ == "__main__":
    main()

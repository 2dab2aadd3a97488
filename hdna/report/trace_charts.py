"""The small figures about the course of one run: learning rate, throughput, memory, gradient norm, waits."""

from collections.abc import Iterator, Sequence

import numpy as np

from hdna.data.curriculum import Curriculum
from hdna.data.step_memory import step_memory
from hdna.report.charts import Along, Chart, Level, Series, Values, floats
from hdna.report.facts import counted
from hdna.report.history import History
from hdna.report.smoothing import running_mean

_GIB = 2**30


class TraceCharts:
    """Says what is to be drawn of a run, whose steps lie `along`."""

    def __init__(self, history: History, along: Along) -> None:
        self._history, self._along = history, along
        self._steps = history.steps
        self._stages = [step.stage for step in history.steps]
        self._on_gpu = not history.environment.get("device", "CPU").startswith("CPU")

    def all(self) -> Iterator[tuple[Chart, str]]:
        """Small figures with their captions."""
        steps = self._steps
        yield (
            self._trace("rate", "Learning rate", "", [s.learning_rate for s in steps], best="highest"),
            "A function of tokens seen.",
        )
        yield self._speed()
        yield self._memory()
        yield self._norm()
        waits = [s.data_wait_fraction for s in steps]
        if any(wait is not None for wait in waits):
            chart = self._trace("wait", "Waiting for data", "share of time", waits, best="lowest", smoothed=True)
            yield chart, "Share of each step spent waiting for its batch."

    def _speed(self) -> tuple[Chart, str]:
        workers = [s.workers for s in self._steps]
        speeds = [s.tokens_per_second for s in self._steps]
        if None in workers or 0 in workers:
            chart = self._trace("speed", "Throughput", "tokens/s", speeds, best="highest", smoothed=True)
            return chart, "All workers together, waits included."
        each = [v and v / n for v, n in zip(speeds, workers, strict=True) if n]
        chart = self._trace("speed", "Throughput per worker", "tokens/s", each, best="highest", smoothed=True)
        return chart, f"Of {counted(sorted({n for n in workers if n}))}, waits included."

    def _memory(self) -> tuple[Chart, str]:
        chart = self._trace("memory", "Peak memory", "GiB", [s.memory_gib for s in self._steps], best="highest")
        planned = self._planned_memory()
        if planned is None:
            return chart, "First worker: its GPU's, else resident size."
        plan = Series("plan", "markov", self._along, planned, best="highest", gid="plan")
        values = np.concatenate([chart.series[0].y, planned])
        both = Chart(chart.name, chart.title, chart.unit, [*chart.series, plan], span=_from_zero(values))
        rest = "" if self._on_gpu else "; here the resident size, with Python and its libraries"
        return both, f"First worker, beside the tensors that the plan counts (green){rest}."

    def _planned_memory(self) -> Values | None:
        """GiB by `hdna plan` at each step; None without a recipe that has the stages."""
        config = self._history.config
        if config is None or any(stage >= len(config.curriculum) for stage in self._stages):
            return None
        stages = Curriculum.of(config).stages
        found = {
            (index, workers): step_memory(config, stages[index], workers or config.parallel.workers, self._on_gpu)
            / _GIB
            for index, workers in {(step.stage, step.workers) for step in self._steps}
        }
        return floats([found[step.stage, step.workers] for step in self._steps])

    def _norm(self) -> tuple[Chart, str]:
        norms = [s.grad_norm for s in self._steps]
        clip = self._history.config.optim.clip_norm if self._history.config else 0.0
        levels = [Level("clip", "entropy", clip)] if clip > 0 else []
        chart = self._trace("norm", "Gradient norm", "", norms, levels, best="highest", log=True, smoothed=True)
        return chart, "Global norm before clipping" + (
            ": what is above the line was scaled down to it." if clip else "."
        )

    def _trace(
        self,
        name: str,
        title: str,
        unit: str,
        values: Sequence[float | None],
        levels: Sequence[Level] = (),
        best: str = "",
        log: bool = False,
        smoothed: bool = False,
    ) -> Chart:
        y = floats(values)
        smooth = running_mean(y, self._stages)[0] if smoothed else None
        positive = np.concatenate([y[y > 0], [level.value for level in levels]])
        log = log and bool((y > 0).any())
        span = (float(positive.min()) / 1.2, float(positive.max()) * 1.2) if log else _from_zero(y)
        series = Series(title.lower(), "train", self._along, y, smooth, best=best, gid=name)
        return Chart(name, title, unit, [series], levels, span, log)


def _from_zero(y: Values) -> tuple[float, float]:
    positive = y[y > 0]
    return 0.0, 1.08 * float(positive.max()) if len(positive) else 1.0

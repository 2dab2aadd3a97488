"""The figures about one run: bits per base, and the course of training."""

from collections.abc import Iterator, Sequence

import numpy as np

from hdna.data.curriculum import Curriculum
from hdna.data.step_memory import step_memory
from hdna.devices import device_called
from hdna.report.charts import Along, Chart, Frame, Level, Series, StageSpan, Values, floats, is_drawn, running_mean
from hdna.report.drawing import readable_range
from hdna.report.facts import counted
from hdna.report.history import History
from hdna.report.tables import UNIFORM_BITS
from hdna.run.status import RUNNING
from hdna.run.step_record import StepRecord

BASELINES = {
    "uniform": ("uniform", ":"),
    "unigram": ("unigram", (0, (4, 2))),
    "entropy": ("order 0", (0, (6, 2, 1, 2))),
    "markov": ("order 5", "--"),
    "source": ("began at", "-."),
}
"""Simple models by their names in baselines.json: label and line style."""
_GIB = 2**30


class RunCharts:
    """Draws nothing: says what is to be drawn."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._steps = history.steps
        self._along = along(history.steps)
        self._stages = [step.stage for step in history.steps]

    def frame(self) -> Frame:
        """The horizontal axis: up to the last step, or to the curriculum's end if the run goes on."""
        end = {"tokens": float(self._along.tokens[-1]), "steps": float(self._along.steps[-1])}
        if self._along.hours is not None:
            end["hours"] = float(self._along.hours[-1])
        spans = [self._span(index) for index in sorted(set(self._stages))]
        history = self._history
        if history.config and history.status == RUNNING:
            plan = Curriculum.of(history.config)
            end["tokens"], end["steps"] = max(end["tokens"], plan.tokens), max(end["steps"], plan.steps)
            if "hours" in end and history.live and history.live.seconds_left:
                end["hours"] += history.live.seconds_left / 3600
            spans = _planned(plan, spans)
        return Frame(end, spans)

    def bits(self) -> Chart:
        """Train and valid bits per base, with simple models as levels."""
        train = floats([step.bits_per_base for step in self._steps])
        smooth, _ = running_mean(train, self._stages)
        baselines = {"uniform": UNIFORM_BITS} | {k: v for k, v in self._history.baselines.items() if is_drawn(v)}
        levels = [
            Level(label, name, baselines[name], style)
            for name, (label, style) in BASELINES.items()
            if name in baselines
        ]
        valid = self._valid()
        low, high = readable_range(
            train if smooth is None else smooth,
            [*(level.value for level in levels), *valid.y[np.isfinite(valid.y)].tolist()],
        )
        curves = [Series("train", "train", self._along, train, smooth), *([valid] if len(valid.y) else [])]
        crossed = along(self._history.skipped, self._history.steps) if self._history.skipped else None
        return Chart(
            "bits",
            "Bits per base",
            "bits per base",
            curves,
            levels,
            (low, high),
            large=True,
            decimals=4,
            crossed=crossed,
        )

    def smoothed_over(self) -> int:
        """Steps in the running mean."""
        return running_mean(np.zeros(len(self._steps)), self._stages)[1]

    def traces(self) -> Iterator[tuple[Chart, str]]:
        """Small figures with their captions."""
        steps = self._steps
        yield self._trace("rate", "Learning rate", "", [s.learning_rate for s in steps]), "A function of tokens seen."
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
        on_gpu = device_called(self._history.environment.get("device")) is not None
        rest = "" if on_gpu else "; here the resident size, with Python and its libraries"
        return both, f"First worker, beside the tensors that the plan counts (green){rest}."

    def _planned_memory(self) -> Values | None:
        """GiB by `hdna plan` at each step; None without a recipe that has the stages."""
        config = self._history.config
        if config is None or any(stage >= len(config.curriculum) for stage in self._stages):
            return None
        stages = Curriculum.of(config).stages
        on_gpu = (self._history.environment.get("device") or "CPU").startswith("CPU") is False
        found = {
            (index, workers): step_memory(config, stages[index], workers or config.parallel.workers, on_gpu) / _GIB
            for index, workers in {(step.stage, step.workers) for step in self._steps}
        }
        return floats([found[step.stage, step.workers] for step in self._steps])

    def _norm(self) -> tuple[Chart, str]:
        norms = [s.grad_norm for s in self._steps]
        clip = self._history.config.optim.clip_norm if self._history.config else 0.0
        levels = [Level("clip", "entropy", clip)] if clip > 0 else []
        chart = self._trace("norm", "Gradient norm", "", norms, levels, log=True, smoothed=True)
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

    def _valid(self) -> Series:
        """Evaluations, joined only within a stage: another stage scores at another context length."""
        scored: list[StepRecord] = []
        bits: list[float] = []
        for step in self._steps:
            if is_drawn(step.valid_bits_per_base):
                if scored and scored[-1].stage != step.stage:
                    scored.append(scored[-1])
                    bits.append(np.nan)
                scored.append(step)
                bits.append(step.valid_bits_per_base)
        return Series("valid", "valid", along(scored, self._steps), np.array(bits, dtype=np.float64), dots=True)

    def _span(self, index: int) -> StageSpan:
        mine = np.flatnonzero(np.asarray(self._stages) == index)
        first, last = int(mine[0]) - 1, int(mine[-1])
        label = f"{self._history.stages[sorted(set(self._stages)).index(index)].context_length:,}"
        begin = dict.fromkeys(_by_unit(self._along, last), 0.0) if first < 0 else _by_unit(self._along, first)
        return StageSpan(index, label, begin, _by_unit(self._along, last))


def along(steps: Sequence[StepRecord], counted: Sequence[StepRecord] | None = None) -> Along:
    """Where steps lie; hours are counted over `counted`, which has them all, or else over the steps themselves."""
    every = steps if counted is None else counted
    seconds = np.cumsum([step.seconds or 0.0 for step in every])
    hours = {step.step: second / 3600 for step, second in zip(every, seconds, strict=True)}
    timed = all(step.seconds is not None for step in every)
    return Along(
        np.array([step.tokens for step in steps], dtype=np.float64),
        np.array([step.step for step in steps], dtype=np.float64),
        np.array([hours[step.step] for step in steps], dtype=np.float64) if timed else None,
    )


def _planned(plan: Curriculum, begun: list[StageSpan]) -> list[StageSpan]:
    """All stages of the curriculum, those that have ended as they went."""
    ended = {span.index: span for span in begun[:-1]}
    step = plan.global_batch_tokens
    return [
        ended.get(stage.index)
        or StageSpan(
            stage.index,
            f"{stage.context_length:,}",
            {"tokens": float(stage.first_step * step), "steps": float(stage.first_step)},
            {"tokens": float(stage.end_step * step), "steps": float(stage.end_step)},
        )
        for stage in plan.stages
    ]


def _by_unit(points: Along, at: int) -> dict[str, float]:
    hours = {} if points.hours is None else {"hours": float(points.hours[at])}
    return {"tokens": float(points.tokens[at]), "steps": float(points.steps[at]), **hours}


def _from_zero(y: Values) -> tuple[float, float]:
    positive = y[y > 0]
    return 0.0, 1.08 * float(positive.max()) if len(positive) else 1.0

"""The figures about one run: the axis that they share, and bits per base."""

from collections.abc import Sequence

import numpy as np

from hdna.data.curriculum import Curriculum
from hdna.report.charts import Along, Chart, Frame, Level, Series, StageSpan, floats, is_drawn
from hdna.report.drawing import readable_range
from hdna.report.history import History
from hdna.report.smoothing import running_mean
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


class RunCharts:
    """Draws nothing: says what is to be drawn."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._steps = history.steps
        self.along = along(history.steps)
        self._stages = [step.stage for step in history.steps]

    def frame(self) -> Frame:
        """The horizontal axis: up to the last step, or to the curriculum's end if the run goes on."""
        end = {"tokens": float(self.along.tokens[-1]), "steps": float(self.along.steps[-1])}
        if self.along.hours is not None:
            end["hours"] = float(self.along.hours[-1])
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
        curves = [Series("train", "train", self.along, train, smooth), *([valid] if len(valid.y) else [])]
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
        begin = dict.fromkeys(_by_unit(self.along, last), 0.0) if first < 0 else _by_unit(self.along, first)
        return StageSpan(index, label, begin, _by_unit(self.along, last))


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

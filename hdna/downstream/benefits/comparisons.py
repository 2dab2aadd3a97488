"""Who wins: the judged model beside every baseline, and beside itself without pretraining."""

from collections.abc import Iterator, Sequence
from typing import Literal

from hdna.downstream.benefits.form import Comparison, Found, LabelCurve
from hdna.downstream.benefits.task_body import Metrics, Task
from hdna.downstream.bootstrap import Estimate

UNKNOWN = Estimate(None, None, None)


def main_metric(task: Task) -> str:
    """The figure that decides; the first there is where the evidence does not say, and empty if there is none."""
    return task.main or next(iter(task.metrics), "")


def comparisons(tasks: Sequence[Found[Task]]) -> Iterator[Comparison]:
    """With every baseline of every task."""
    for task in (found.body for found in tasks):
        metric = main_metric(task)
        for name, baseline in task.baselines.items():
            difference = baseline.difference.get(metric, UNKNOWN)
            yield Comparison(
                task.task,
                task.method,
                name,
                metric,
                _figure(task.metrics, metric),
                _figure(baseline.metrics, metric),
                difference,
                winner(difference),
            )


def winner(difference: Estimate) -> Literal["model", "baseline", "undecided"]:
    """By the interval of judged minus baseline: who is better unless it holds 0."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "undecided"
    return "model" if difference.low > 0 else "baseline"


def label_curves(tasks: Sequence[Found[Task]]) -> Iterator[LabelCurve]:
    """Of every task that has one."""
    for task in (found.body for found in tasks):
        if task.learning_curve:
            points = sorted(task.learning_curve, key=lambda point: point.labels)
            yield LabelCurve(task.task, task.method, main_metric(task), points, task.labels_saved)


def _figure(metrics: Metrics, name: str) -> Estimate:
    return metrics.get(name, UNKNOWN)

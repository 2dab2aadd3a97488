"""What a run took, by stage: hours, floating-point operations, bytes from and to buckets; and what interrupted it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.data.step_flops import step_flops
from hdna.devices import device_called
from hdna.report import markup
from hdna.report.history import History
from hdna.report.markup import Html
from hdna.run.step_record import StepRecord

_NONE = "–"


@dataclass(frozen=True)
class Cost:
    """What some steps took, each counted once however often it was done."""

    seconds: float
    worker_seconds: float
    flops: float | None
    """Model FLOPs: of forward and backward passes, without recomputation; None without a recipe that has the stages."""
    read_bytes: int
    """From buckets, by all workers."""
    written_bytes: int

    @property
    def flops_per_worker_second(self) -> float | None:
        """The rate of one worker in FLOP/s, with evaluations and waits in its time."""
        return self.flops / self.worker_seconds if self.flops is not None and self.worker_seconds > 0 else None


def cost(steps: Sequence[StepRecord], config: RunConfig | None) -> Cost:
    """The sum over steps that have a time and a number of workers."""
    return Cost(
        sum(step.seconds or 0.0 for step in steps),
        sum(step.worker_seconds for step in steps),
        None if config is None else model_flops(steps, config),
        sum(step.bucket_read_bytes or 0 for step in steps),
        sum(step.bucket_written_bytes or 0 for step in steps),
    )


def model_flops(steps: Sequence[StepRecord], config: RunConfig) -> float | None:
    """FLOPs of the steps' forward and backward passes over all workers; None if the recipe has too few stages."""
    stages, flops = Curriculum.of(config).stages, 0.0
    layouts = Counter((step.stage, step.workers or 1, step.sequence_parallel) for step in steps)
    for (index, workers, ranks), count in layouts.items():
        if index >= len(stages):
            return None
        stage = stages[index]
        data_ranks = max(1, workers // (ranks or stage.sequence_parallel))
        flops += count * step_flops(config, stage, data_ranks)
    return flops


def ledger(history: History) -> Iterator[Html]:
    """The section of the page; empty if no step has a time, as in runs of earlier versions."""
    table = cost_table(history)
    if table is None:
        return
    yield markup.heading("What it took")
    yield markup.table(*table)
    yield markup.paragraph(explanation(history))
    yield from _interruptions(history)


def cost_table(history: History) -> tuple[list[str], list[list[str]]] | None:
    """Columns and rows, one for each stage and one for all; None if no step has a time."""
    steps = [step for step in history.steps if step.seconds is not None and step.workers is not None]
    if not steps:
        return None
    peak = _peak(history)
    head = ["Stage", "Hours", "Worker hours", "Read from buckets", "Written to buckets"]
    head[3:3] = ["Model FLOPs", "TFLOP/s per worker", *(["MFU"] if peak else [])]
    stages = sorted({step.stage for step in steps})
    costs = [(str(index), [step for step in steps if step.stage == index]) for index in stages]
    return head, [_row(name, cost(mine, history.config), peak) for name, mine in [*costs, ("all", steps)]]


def _peak(history: History) -> float | None:
    """Dense FLOP/s of the run's device in the recipe's precision, if its data sheet is known."""
    device = device_called(history.environment.get("device"))
    return device.peak_flops(history.config.parallel.precision) if device and history.config else None


def _row(name: str, took: Cost, peak: float | None) -> list[str]:
    rate = took.flops_per_worker_second
    return [
        name,
        f"{took.seconds / 3600:,.2f}",
        f"{took.worker_seconds / 3600:,.2f}",
        _NONE if took.flops is None else f"{took.flops:.2e}",
        _NONE if rate is None else f"{rate / 1e12:.3g}",
        *([_NONE if rate is None else f"{rate / peak:.1%}"] if peak else []),
        f"{took.read_bytes / 2**20:,.1f} MiB",
        f"{took.written_bytes / 2**20:,.1f} MiB",
    ]


def explanation(history: History) -> str:
    """What the table counts, in a few sentences."""
    peak = _peak(history)
    counted = (
        "Model FLOPs are those of forward and backward passes, in closed form, without recomputation; the time has "
        "evaluations and waits in it."
    )
    if peak is None or history.config is None:
        return counted
    return (
        f"{counted} MFU is their share of what the workers could have done in that time in dense "
        f"{history.config.parallel.precision} matrix products: {peak / 1e12:,.3g} TFLOP/s each "
        f"({history.environment['device']}, the vendor's data sheet). Transforms are not matrix products, so 100% is "
        "out of reach."
    )


def _interruptions(history: History) -> Iterator[Html]:
    if history.live is None or not history.live.wall_seconds:
        return
    share = min(1.0, history.productive_seconds / history.live.wall_seconds)
    yield markup.paragraph(
        f"Its drivers have lived for {history.live.wall_seconds / 3600:,.2f} hours in all, {share:.1%} of them in "
        f"steps that count: the rest went to starting, waiting, and steps that were done again."
    )
    if restarts := history.live.restarts:
        rows = [(restart.time, f"{restart.step:,}", restart.cause) for restart in restarts]
        yield markup.table(("Workers were lost at", "Step", "Cause"), rows, text_columns=3)

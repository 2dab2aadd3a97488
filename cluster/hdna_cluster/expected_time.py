"""How long a run will take: before it, by a few steps timed on this machine; and once it has done some, by those."""

import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor

from hdna.config import ModelConfig, RunConfig
from hdna.data.curriculum import Curriculum, StagePlan
from hdna.data.step_flops import step_flops
from hdna.devices import Device
from hdna.quantities import duration
from hdna.run.events import Event, Report, StepDone
from hdna_cluster.plan import estimate
from hdna_cluster.session import is_submitted_job

_CERTAINLY_SHORT = {False: 4e14, True: 1e16}
"""FLOPs that take less than a day even at a tenth of the rate of two cores, or of a small GPU: not worth timing."""
_UNCOUNTED, _COUNTED = 3, 8
"""Steps: the first ones compile kernels and fill caches."""


def expected_seconds(config: RunConfig, gpu: bool, device: Device | None, done_steps: int = 0) -> float | None:
    """Seconds that are left before the run starts; None: unknown, or certainly less than a day.

    As `hdna plan` expects of the device; else by a few steps in a process of their own, if the workers are on this
    machine.
    """
    flops = _flops_left(config, done_steps)
    if flops < _CERTAINLY_SHORT[gpu]:
        return None
    if device and (seconds := _planned_seconds(config, device, done_steps)) is not None:
        return seconds
    if is_submitted_job() or os.environ.get("RAY_ADDRESS"):
        return None
    rate = _timed_apart(config, gpu)
    return None if rate is None else flops / (rate * (config.parallel.workers if gpu else 1))


class FirstPace:
    """Passes a run's events on; after a few measured steps it says, once, how long the rest will take."""

    def __init__(self, config: RunConfig, report: Report) -> None:
        self._config, self._report = config, report
        self._seconds: list[float] = []
        self._stage = -1
        self._said = False

    def __call__(self, event: Event) -> None:
        """Receive an event."""
        self._report(event)
        if isinstance(event, StepDone) and not self._said and event.record.tokens_per_second:
            if event.record.stage != self._stage:
                self._stage, self._seconds = event.record.stage, []
            self._seconds.append(self._config.optim.global_batch_tokens / event.record.tokens_per_second)
            if len(self._seconds) == _UNCOUNTED + _COUNTED and event.record.step < event.steps:
                self._said = True
                self._report(self._left(event.record.step, event.record.stage))

    def _left(self, step: int, stage: int) -> str:
        seconds = statistics.median(self._seconds[_UNCOUNTED:])
        rate = _step_flops(self._config, Curriculum.of(self._config).stages[stage]) / seconds
        left = _flops_left(self._config, step) / rate
        return (
            f"at the pace of steps {step - _COUNTED + 1}-{step} the rest takes about {duration(left)}, evaluations "
            f"and checkpoints not counted"
        )


def _planned_seconds(config: RunConfig, device: Device, done_steps: int) -> float | None:
    """Of the steps that are left, by measurements; None: there are none of some stage."""
    seconds = 0.0
    for stage in Curriculum.of(config).stages:
        if steps := _steps_left(stage, done_steps):
            expected = estimate(config, stage, device).expected_step
            if expected is None:
                return None
            seconds += steps * expected
    return seconds


def _steps_left(stage: StagePlan, done_steps: int) -> int:
    return max(0, stage.end_step - max(stage.first_step, done_steps))


def _flops_left(config: RunConfig, done_steps: int) -> float:
    """Model FLOPs of the steps that are left, on all workers."""
    return sum(_steps_left(stage, done_steps) * _step_flops(config, stage) for stage in Curriculum.of(config).stages)


def _step_flops(config: RunConfig, stage: StagePlan) -> float:
    return step_flops(config, stage, config.parallel.workers // stage.sequence_parallel)


def _timed_apart(config: RunConfig, gpu: bool) -> float | None:
    """Model FLOP/s of this machine, timed in a process whose memory is free again afterwards; None: it failed."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(_timed, config, gpu).result()
    except Exception:  # an estimate is no reason to end a run
        return None


def _timed(config: RunConfig, gpu: bool) -> float:
    """Model FLOP/s of this machine's CPUs, or of a GPU, at the recipe's first context."""
    import torch

    from hdna.benchmark.pace import measured_flops

    context = min(config.curriculum[0].context_length, 8192)
    samples = max(1, (1 << 16 if gpu else 1 << 12) // context)
    model = ModelConfig(d_model=config.model.d_model, n_layer=min(2, config.model.n_layer), l_max=context)
    device = torch.device("cuda" if gpu else "cpu")
    return measured_flops(model, context, samples, config.parallel.precision == "bf16", device)

"""What a recipe needs, stage by stage, before launch: batches, FLOPs, traffic, memory, minimum time.

Closed forms only: nothing is built, no device is queried.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hdna.benchmark.measured import expected_seconds
from hdna.config import RunConfig, Stage
from hdna.config.slices import MIN_SLICE, divisors
from hdna.data.curriculum import Curriculum, StagePlan
from hdna.data.step_flops import step_flops
from hdna.data.step_memory import micro_step_shape
from hdna.devices import Device
from hdna.model.memory import saved_bytes, state_bytes, working_bytes
from hdna.parallel.traffic import Slice, Traffic, busiest
from hdna_cluster.scale_bucket import shards_per_step
from hdna_cluster.step_time import LowerBounds, lower_bounds

USABLE = 0.9
"""Usable fraction of a device's memory. The rest covers what is not computed here: CUDA, NCCL, fragmentation."""


@dataclass(frozen=True)
class StageEstimate:
    """One stage on one kind of device; bytes are per rank, for the fullest or busiest one."""

    stage: StagePlan
    data_ranks: int
    accumulation: int
    step_flops: float
    """Model FLOPs of an optimizer step over all workers, without recomputation."""
    bounds: LowerBounds | None
    expected_step: float | None
    """Seconds of an optimizer step by measurements; None if there are none."""
    sent: dict[str, Traffic]
    """Traffic of one layer and optimizer step, by long-convolution strategy."""
    saved: dict[bool, int]
    """Bytes kept for the backward pass, by whether activations are recomputed."""
    working: int
    state: tuple[int, int, int]
    """Bytes of parameters, gradients and optimizer."""
    total: int
    """Total bytes under the recipe's settings."""
    fits: bool

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return self.stage.end_step - self.stage.first_step

    @property
    def seconds(self) -> float | None:
        """The minimum time of the stage."""
        return None if self.bounds is None else self.bounds.seconds * self.steps

    @property
    def expected_seconds(self) -> float | None:
        """The expected time of the stage."""
        return None if self.expected_step is None else self.expected_step * self.steps


@dataclass(frozen=True)
class Plan:
    """A recipe's stages, and advice for those that do not fit."""

    config: RunConfig
    device: Device
    stages: list[StageEstimate]
    advice: dict[int, str]
    """By stage number."""

    @property
    def seconds(self) -> float | None:
        """The minimum time of the run, excluding evaluations and checkpoints."""
        return _sum(stage.seconds for stage in self.stages)

    @property
    def expected_seconds(self) -> float | None:
        """The expected time of the run, excluding the same."""
        return _sum(stage.expected_seconds for stage in self.stages)

    @property
    def shards_per_hour(self) -> float | None:
        """The most that each node copies from a bucket, in the stage with the shortest steps."""
        shortest = min((stage.bounds.seconds for stage in self.stages if stage.bounds), default=None)
        return None if shortest is None else 3600 / shortest * shards_per_step(self.config)


def _sum(times: Iterable[float | None]) -> float | None:
    """None if any is unknown."""
    known = list(times)
    return None if None in known else sum(time for time in known if time is not None)


def plan(config: RunConfig, device: Device) -> Plan:
    """Estimate a checked recipe on `parallel.workers` devices of one kind."""
    stages = [estimate(config, stage, device) for stage in Curriculum.of(config).stages]
    advice = {s.stage.index: _advice(config, s.stage.index, device) for s in stages if not s.fits}
    return Plan(config, device, stages, advice)


def estimate(config: RunConfig, stage: StagePlan, device: Device) -> StageEstimate:
    """One stage of a recipe."""
    model, parallel = config.model, config.parallel
    data_ranks = parallel.workers // stage.sequence_parallel
    accumulation = stage.accumulation(data_ranks)
    largest = stage.largest_micro_batch(data_ranks)
    shape = micro_step_shape(config, stage, largest, accumulation, device.is_gpu)
    part = Slice(shape.batch, model.d_model, shape.length, stage.sequence_parallel, shape.element_size, model.order)
    sent = {kind: busiest(kind, part, accumulation) for kind in ("all_to_all", "distributed_fft")}
    saved = {recompute: saved_bytes(model, shape, recompute) for recompute in (False, True)}
    working = working_bytes(model, shape, parallel.activation_checkpointing)
    state = state_bytes(model, parallel.zero_stage, parallel.workers)
    total = sum(state) + saved[parallel.activation_checkpointing] + working
    bytes_sent = sent[parallel.long_conv].bytes_sent * model.n_layer
    bounds = lower_bounds(config, stage, shape, accumulation, bytes_sent, device)
    flops = step_flops(config, stage, data_ranks)
    return StageEstimate(
        stage=stage,
        data_ranks=data_ranks,
        accumulation=accumulation,
        step_flops=flops,
        bounds=bounds,
        expected_step=expected_seconds(config, shape, stage.context_length, accumulation, flops, device),
        sent=sent,
        saved=saved,
        working=working,
        state=state,
        total=total,
        fits=total <= USABLE * device.memory_bytes,
    )


def _advice(config: RunConfig, index: int, device: Device) -> str:
    """The cheapest change that makes a stage fit."""
    for text, changed in _changes(config, index):
        if estimate(changed, Curriculum.of(changed).stages[index], device).fits:
            return text
    return "only a smaller model or a shorter context makes it fit"


def _changes(config: RunConfig, index: int) -> Iterator[tuple[str, RunConfig]]:
    """Changes to a recipe with their descriptions: smaller micro-batches, recomputation, more ranks per sample."""
    stage, key = config.curriculum[index], f"curriculum.{index}"
    for size in reversed(divisors(stage.micro_batch_size)[:-1]):
        yield f"set {key}.micro_batch_size={size}", _staged(config, index, micro_batch_size=size)
    recomputing = replace(config, parallel=replace(config.parallel, activation_checkpointing=True))
    yield "set parallel.activation_checkpointing=true", recomputing
    one = "" if stage.micro_batch_size == 1 else f" and {key}.micro_batch_size=1"
    yield f"set parallel.activation_checkpointing=true{one}", _staged(recomputing, index, micro_batch_size=1)
    workers = config.parallel.workers
    for ranks in _degrees(stage, workers):
        # The workers there are, or as many as one sample takes.
        needed = workers if workers % ranks == 0 else ranks
        more = "" if needed == workers else f", with parallel.workers={needed} or a multiple"
        for text, changed in ((one, config), (f"{one} and parallel.activation_checkpointing=true", recomputing)):
            shared = _staged(changed, index, sequence_parallel=ranks, micro_batch_size=1)
            yield (
                f"raise {key}.sequence_parallel to {ranks}{text}{more}",
                replace(shared, parallel=replace(shared.parallel, workers=needed)),
            )


def _degrees(stage: Stage, workers: int) -> list[int]:
    """Higher sequence-parallel degrees that a stage's context allows: on these workers, or doubling on more."""
    ranks = {*divisors(workers), *(stage.sequence_parallel << power for power in range(1, 11))}
    return sorted(r for r in ranks if r > stage.sequence_parallel and stage.context_length % (MIN_SLICE * r) == 0)


def _staged(config: RunConfig, index: int, micro_batch_size: int, sequence_parallel: int | None = None) -> RunConfig:
    """The recipe with one stage changed."""
    stages = list(config.curriculum)
    ranks = sequence_parallel or stages[index].sequence_parallel
    stages[index] = replace(stages[index], micro_batch_size=micro_batch_size, sequence_parallel=ranks)
    return replace(config, curriculum=stages)

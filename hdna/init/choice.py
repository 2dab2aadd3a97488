"""Which recipe suits genomes of these sizes on this machine: a pure function of sizes, rates and hours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hdna.benchmark.measured import LAUNCH_S
from hdna.config import (
    CheckpointConfig,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RunConfig,
    RunSection,
    Stage,
)
from hdna.config.slices import divisors
from hdna.data.curriculum import Curriculum
from hdna.errors import InputError
from hdna.init.genomes import Genome
from hdna.init.machine import LONGEST, Machine, refuse_unknown_speed
from hdna.init.schedule import MAX_PASSES, Schedule, default_tokens, power_below, schedule, window_of
from hdna.model.flops import parameter_count, train_flops_per_token
from hdna_cluster.plan import Plan, StageEstimate, estimate, plan

MIN_BASES = 10_000
TRAIN_SHARE = 0.8
"""Of the bases: what the rules of `hdna prep shards` leave to train."""
TRAINING_SHARE = 0.8
"""Of the time: the rest goes to starting, reading, evaluations, baselines and checkpoints."""
PATIENCE_H = 24.0
"""A larger model is only chosen if its run ends by then, unless --hours says otherwise."""
TOKENS_PER_PARAMETER = 20
"""Hoffmann and others, arXiv 2203.15556; the published HyenaDNA models saw hundreds to thousands."""
EVALUATIONS = 10
_SMALL_BATCH = 1 << 15
_MICRO_TOKENS = {False: 1 << 13, True: 1 << 18}
"""Of a micro-batch on a CPU, whose cache it should fit, and on a GPU, of which CUDA graphs take no more."""


@dataclass(frozen=True)
class Size:
    """A published geometry."""

    like: str
    """The shipped recipe that has it."""
    d_model: int
    n_layer: int
    longest: int
    """Longest context that is chosen for it."""


SIZES = (
    Size("medium_160k", 256, 8, LONGEST),
    Size("small_32k", 256, 4, 1 << 15),
    Size("tiny_16k", 128, 2, 1 << 14),
)
"""From the largest."""


@dataclass(frozen=True)
class Choice:
    """A recipe, what it was made for, and what is expected of it."""

    config: RunConfig
    window: int
    """Bases, for `hdna prep shards`."""
    size: Size
    genomes: Sequence[Genome]
    machine: Machine
    hours: float | None
    """That were asked for."""
    plan: Plan
    stage_seconds: list[float] | None
    """Expected of each stage, with its share of everything beside training; None: unknown."""

    @property
    def tokens(self) -> int:
        """Of the run."""
        return self.config.curriculum[-1].until_tokens

    @property
    def train_bases(self) -> int:
        """Expected in the train split."""
        return train_bases(self.genomes)

    @property
    def expected_seconds(self) -> float | None:
        """Of the whole run; None: unknown."""
        return None if self.stage_seconds is None else sum(self.stage_seconds)

    @property
    def is_trained_enough(self) -> bool:
        """Whether there are tokens for the model's parameters."""
        return self.tokens >= TOKENS_PER_PARAMETER * parameter_count(self.config.model)


def choose(genomes: Sequence[Genome], machine: Machine, hours: float | None, url: str, shards: str) -> Choice:
    """The largest published size that these genomes can teach within the time, its contexts, batch and tokens.

    Raises InputError when the genomes are too small, the machine's speed is unknown but `hours` given, or its memory
    too small for any.
    """
    bases = sum(genome.known for genome in genomes)
    if bases < MIN_BASES:
        raise InputError(f"{genomes[0].url}: {bases:,} known bases in all: too few to train on, want {MIN_BASES:,}")
    if hours is not None:
        if not 0 < hours < float("inf"):
            raise InputError(f"--hours: {hours:g}: want how long the run may take, as in --hours 2")
        refuse_unknown_speed(machine)
    found = [made for size in SIZES if (made := _sized(size, genomes, machine, hours, url, shards))]
    if not found:
        gib = machine.device.memory_bytes / 2**30
        raise InputError(f"{machine.device.name}: {gib:.1f} GiB are too few for the smallest model: use another")
    limit = hours or PATIENCE_H
    fitting = [made for made in found if made.is_trained_enough and (made.expected_seconds or 0) <= limit * 3600 * 1.1]
    return fitting[0] if fitting else found[-1]


def train_bases(genomes: Sequence[Genome]) -> int:
    """Known bases that the split rules leave to train."""
    return int(TRAIN_SHARE * sum(genome.known for genome in genomes))


def _sized(
    size: Size, genomes: Sequence[Genome], machine: Machine, hours: float | None, url: str, shards: str
) -> Choice | None:
    """The recipe for one size, its longest context halved until a step fits the memory; None: none does."""
    window = window_of([length for genome in genomes for length in genome.contigs])
    longest = min(size.longest, window // 2)
    while longest:
        model = ModelConfig(d_model=size.d_model, n_layer=size.n_layer, l_max=longest)
        tokens = _tokens(model, train_bases(genomes), machine, hours)
        made = _recipe(schedule(tokens, longest, machine.workers), size, genomes, machine, url, shards)
        if config := _in_memory(made, machine):
            planned = plan(config, machine.device)
            return Choice(config, window, size, genomes, machine, hours, planned, _stage_seconds(planned, machine))
        longest //= 2
    return None


def _tokens(model: ModelConfig, bases: int, machine: Machine, hours: float | None) -> int:
    """One pass or so, or what fits the hours at the speed of the longest context."""
    if hours is None:
        return default_tokens(bases)
    flops = machine.flops[model.d_model] * machine.workers * hours * 3600 * TRAINING_SHARE
    return max(1, min(MAX_PASSES * bases, int(flops / train_flops_per_token(model, model.l_max))))


def _recipe(
    planned: Schedule, size: Size, genomes: Sequence[Genome], machine: Machine, url: str, shards: str
) -> RunConfig:
    """The recipe, micro-batches of one sample."""
    bases = train_bases(genomes)
    steps = planned.tokens // planned.batch
    many_updates = size.d_model == 128 and planned.batch <= _SMALL_BATCH
    valid = max(1, bases // 8)  # the same tenth of all as test
    return RunConfig(
        run=RunSection(url=url),
        model=ModelConfig(
            d_model=size.d_model,
            n_layer=size.n_layer,
            l_max=planned.context,
            embed_dropout=0.1 if planned.tokens > 2 * bases else 0.0,
        ),
        data=DataConfig(shards=[shards]),
        curriculum=planned.stages,
        optim=OptimConfig(
            learning_rate=4e-3 if many_updates else 6e-4,
            filter_learning_rate=1e-4 if many_updates else None,
            weight_decay=0.0 if many_updates else 0.1,
            warmup_fraction=0.02,
            clip_norm=0.3 if many_updates else 1.0,
            global_batch_tokens=planned.batch,
        ),
        parallel=ParallelConfig(workers=machine.workers, precision="bf16" if machine.bf16 else "fp32"),
        checkpoint=CheckpointConfig(),
        evaluate=EvaluateConfig(
            every_steps=max(1, steps // EVALUATIONS),
            max_bases=min(valid, max(1 << 14, power_below(planned.tokens // (4 * EVALUATIONS)))),
        ),
    )


def _in_memory(config: RunConfig, machine: Machine) -> RunConfig | None:
    """The recipe with the largest micro-batches that fit, activations recomputed only if they must; None: none fit."""
    for recompute in (False, True):
        trial = replace(config, parallel=replace(config.parallel, activation_checkpointing=recompute))
        stages = [_fitted(trial, number, machine) for number in range(len(trial.curriculum))]
        if all(stages):
            return replace(trial, curriculum=[stage for stage in stages if stage])
    return None


def _fitted(config: RunConfig, number: int, machine: Machine) -> Stage | None:
    stage = config.curriculum[number]
    samples = -(-config.optim.global_batch_tokens // stage.context_length // machine.workers)
    most = max(1, min(samples, _MICRO_TOKENS[machine.device.is_gpu] // stage.context_length))
    for size in reversed(divisors(power_below(most))):
        stages = [*config.curriculum]
        stages[number] = replace(stage, micro_batch_size=size)
        trial = replace(config, curriculum=stages)
        if estimate(trial, Curriculum.of(trial).stages[number], machine.device).fits:
            return stages[number]
    return None


def _stage_seconds(planned: Plan, machine: Machine) -> list[float] | None:
    """By what the machine has shown, or else by what the plan expects of its kind; None: unknown."""
    d_model = planned.config.model.d_model
    steps = [_timed(stage, d_model, machine) if machine.timed else stage.expected_step for stage in planned.stages]
    known = [seconds for seconds in steps if seconds is not None]
    if len(known) < len(steps):
        return None
    return [stage.steps * seconds / TRAINING_SHARE for stage, seconds in zip(planned.stages, known, strict=True)]


def _timed(stage: StageEstimate, d_model: int, machine: Machine) -> float | None:
    """Seconds of a step at the model FLOP/s of this machine, on a GPU no faster than its kernels can be launched."""
    flops = machine.flops.get(d_model)
    if flops is None:
        return None
    launches = stage.accumulation * LAUNCH_S if machine.device.is_gpu else 0.0
    return max(stage.step_flops / (flops * machine.workers), launches)

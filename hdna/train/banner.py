"""The start block: a run's arithmetic, printed once before it starts, and the record of its environment."""

import platform
from collections.abc import Iterator
from importlib import metadata

import torch

from hdna import __version__
from hdna.checkpoint.state import RunState
from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum, StagePlan
from hdna.data.step_flops import step_flops
from hdna.data.stream import WindowReader
from hdna.devices import describe_device
from hdna.genome.shard_set import ShardSet
from hdna.model.flops import parameter_count
from hdna.train.engine import fused_kernels

_VERSIONS = ("torch", "deepspeed", "ray", "zarr", "webdataset", "numpy")


def start_block(
    config: RunConfig,
    shard_sets: list[ShardSet],
    train: WindowReader,
    valid: WindowReader,
    state: RunState,
    device: torch.device,
    keeps_freed_memory: bool,
) -> str:
    """Several readable lines: model, data, stages with their batch arithmetic, devices, kernels, allocator."""
    curriculum = Curriculum.of(config)
    begins = f"resumes after step {state.step}" if state.step else "begins"
    lines = [
        f"hdna {__version__}: run {config.run.url} {begins}; {curriculum.steps} steps, {curriculum.tokens:,} tokens",
        f"model   {parameter_count(config.model):,} parameters: {config.model.n_layer} layers, "
        f"d_model {config.model.d_model}, order {config.model.order}, l_max {config.model.l_max:,}",
        f"data    {sum(s.totals['train'].bases for s in shard_sets if 'train' in s.totals):,} train bases in "
        f"{len(train):,} windows of {len(shard_sets)} shard set(s); {len(valid):,} valid windows",
        *_set_lines(config, curriculum, shard_sets, train),
        f"device  {describe_device(device)}; {config.parallel.workers} worker(s), ZeRO {config.parallel.zero_stage}, "
        f"{config.parallel.precision}, DeepSpeed {metadata.version('deepspeed')}; {fused_kernels(device)}"
        f"{'; freed memory is kept' if keeps_freed_memory else ''}",
        *(_stage_line(config, curriculum, plan, train) for contexts in curriculum.contexts for plan in contexts),
    ]
    return "\n".join(lines)


def _set_lines(
    config: RunConfig, curriculum: Curriculum, shard_sets: list[ShardSet], train: WindowReader
) -> Iterator[str]:
    """Of several shard sets, each one's share of the samples, and how often the run reads it."""
    if len(shard_sets) < 2:
        return
    bases = [table.total_bases for table in train.tables]
    weights = config.data.weights or bases
    for number, (shard_set, own, weight) in enumerate(zip(shard_sets, bases, weights, strict=True)):
        names = " + ".join(dict.fromkeys(store.assembly for store in shard_set.provenance.stores))
        share = weight / sum(weights)
        epochs = share * curriculum.tokens / own
        yield f"set {number}   {names}: {own:,} train bases, {share:.1%} of the samples, {epochs:.2f} epochs in all"


def _stage_line(config: RunConfig, curriculum: Curriculum, stage: StagePlan, train: WindowReader) -> str:
    ranks, idle = divmod(config.parallel.workers, stage.sequence_parallel)
    shared = f" each shared by {stage.sequence_parallel} workers" if stage.sequence_parallel > 1 else ""
    shared += f" ({idle} worker(s) idle)" if idle else ""
    largest, micro_steps = stage.largest_micro_batch(ranks), stage.accumulation(ranks)
    at_most = "" if largest * micro_steps * ranks == stage.samples else "up to "
    crops = sum(int(table.crops(stage.context_length).sum()) for table in train.tables)
    steps = curriculum.steps_at(stage)
    epochs = steps * stage.samples / crops
    flops = step_flops(config, stage, ranks)
    mixed = f", {steps:,} of them" if len(curriculum.contexts[stage.index]) > 1 else ""
    return (
        f"stage {stage.index} steps {stage.first_step + 1}-{stage.end_step}{mixed}: {at_most}{largest} samples x "
        f"{stage.context_length:,} tokens x {micro_steps} micro steps x {ranks} data rank(s){shared} = "
        f"{config.optim.global_batch_tokens:,} tokens a step; {epochs:.2f} epochs; {flops / 1e12:.3g} TFLOP a step"
    )


def environment(device: torch.device) -> dict[str, str]:
    """Versions and hardware of a run, for environment.json."""
    return {
        "hdna": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _VERSIONS},
        "device": describe_device(device),
        "platform": platform.platform(),
        "kernels": fused_kernels(device),
    }

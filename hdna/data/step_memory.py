"""Memory of an optimizer step on the fullest rank, as `hdna plan` estimates it."""

from hdna.config import RunConfig
from hdna.data.curriculum import StagePlan
from hdna.model.graphed import LARGEST, can_replay
from hdna.model.memory import MicroStepShape, saved_bytes, state_bytes, working_bytes


def step_memory(config: RunConfig, stage: StagePlan, workers: int, on_gpu: bool) -> int:
    """Bytes of model state, activations and temporary buffers; without what frameworks keep for themselves."""
    model, parallel = config.model, config.parallel
    data_ranks = max(1, workers // stage.sequence_parallel)
    shape = micro_step_shape(
        config, stage, stage.largest_micro_batch(data_ranks), stage.accumulation(data_ranks), on_gpu
    )
    recompute = parallel.activation_checkpointing
    return (
        sum(state_bytes(model, parallel.zero_stage, workers))
        + saved_bytes(model, shape, recompute)
        + working_bytes(model, shape, recompute)
    )


def micro_step_shape(
    config: RunConfig, stage: StagePlan, samples: int, accumulation: int, on_gpu: bool
) -> MicroStepShape:
    """A micro step of `samples` samples on the rank with the most channels."""
    ranks = stage.sequence_parallel
    one_shape = not config.curriculum[stage.index].shorter_contexts
    graphed = on_gpu and one_shape and can_replay(config.parallel, ranks) and samples * stage.context_length <= LARGEST
    most_channels = -(-config.model.d_model // ranks)
    dealt = ranks > 1 and config.parallel.long_conv == "all_to_all"
    return MicroStepShape(
        batch=samples,
        length=stage.context_length // ranks,
        bf16=config.parallel.precision == "bf16",
        dealt=most_channels * stage.context_length if dealt else None,
        shared=ranks > 1,
        graphed=graphed,
        accumulates=accumulation > 1,
        on_cpu=not on_gpu,
    )

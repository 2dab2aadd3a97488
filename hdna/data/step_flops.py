"""Floating-point operations of an optimizer step."""

from hdna.config import RunConfig
from hdna.data.curriculum import StagePlan
from hdna.model.flops import train_flops_per_token


def step_flops(config: RunConfig, stage: StagePlan, data_ranks: int) -> float:
    """Model FLOPs over all workers, without recomputation.

    The workers count only through the micro-batch: its samples share one filter.
    """
    samples = stage.largest_micro_batch(data_ranks)
    return config.optim.global_batch_tokens * train_flops_per_token(config.model, stage.context_length, samples)

"""The recipe of an adaptation: the source's model and optimizer, and a schedule of the genomes' size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from hdna.config import EvaluateConfig, RunConfig, RunSection, Stage, dump_recipe
from hdna.config.recipe import parse_recipe
from hdna.data.window_table import WindowTable

EPOCHS = 8
"""Passes over the train split. Up to four, repeated text teaches a model nearly as much as new text (Muennighoff and
others, arXiv 2305.16264), and each pass reads half of the crops on the other strand."""
STEPS = 1000
"""Optimizer steps, about."""
WARMUP = 0.05
"""Share of the tokens: Adam's moments begin at zero."""
_EVALUATIONS = 20
_FEWEST_CROPS = 64
"""Of the train split at the longest context."""
_MICRO_TOKENS = 8192
"""Of a micro-batch, for weights that no run of ours has trained."""


@dataclass(frozen=True)
class Source:
    """The weights to begin from."""

    url: str
    """Of the checkpoint."""
    recipe: RunConfig
    trained: bool
    """Whether a run of ours trained them, so that its micro-batch, precision and recomputation are known to fit."""


def adaptation(source: Source, shards: str, train: WindowTable, url: str, overrides: Sequence[str] = ()) -> RunConfig:
    """A run at `url` that begins from the source's weights and reads the shard set, whose train split is `train`.

    Raises InputError when an override is wrong.
    """
    theirs, bases = source.recipe, train.total_bases
    context = fitting_context(longest_context(source), bases, train.longest)
    crops_a_step = max(1, EPOCHS * bases // STEPS // context)
    batch = context << crops_a_step.bit_length() - 1
    tokens = max(1, EPOCHS * bases // batch) * batch
    last = theirs.curriculum[-1]
    trained_tokens = last.context_length * last.micro_batch_size // last.sequence_parallel
    micro_tokens = trained_tokens if source.trained else _MICRO_TOKENS
    fp32 = not source.trained and not torch.cuda.is_available()
    parallel = replace(theirs.parallel, precision="fp32") if fp32 else theirs.parallel
    config = RunConfig(
        run=RunSection(url=url, seed=theirs.run.seed, init_from=source.url),
        model=theirs.model,
        data=replace(theirs.data, shards=[shards], weights=[]),
        curriculum=[Stage(context, tokens, max(1, min(batch, micro_tokens) // context))],
        optim=replace(theirs.optim, warmup_fraction=WARMUP, global_batch_tokens=batch),
        parallel=replace(parallel, workers=1, min_workers=None),
        evaluate=EvaluateConfig(every_steps=max(1, tokens // batch // _EVALUATIONS)),
    )
    return parse_recipe(dump_recipe(config), "the recipe for these genomes", overrides)


def from_scratch(config: RunConfig, url: str) -> RunConfig:
    """The same run from new weights."""
    return replace(
        config, run=replace(config.run, url=url, init_from=None), model=replace(config.model, extended_from=[])
    )


def longest_context(source: Source) -> int:
    """The longest that the source was trained at; of published weights, whose l_max is two more, that."""
    model, curriculum = source.recipe.model, source.recipe.curriculum
    return max(stage.context_length for stage in curriculum) if source.trained else max(2, model.l_max - 2)


def fitting_context(context: int, bases: int, longest: int) -> int:
    """The context, halved until a window of `longest` bases holds it and `bases` make enough crops of it."""
    while context > 1 and (context >= longest or context * _FEWEST_CROPS > bases):
        context //= 2
    return context

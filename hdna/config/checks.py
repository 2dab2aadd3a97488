"""The ranges of a recipe's numbers, and the arithmetic they must satisfy together."""

from collections.abc import Callable

from hdna.config.schema import (
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
from hdna.config.slices import slice_length
from hdna.errors import InputError, without_secrets

Where = Callable[..., str]
"""Where a key was written: `where("optim", "clip_norm")` returns `recipe.yaml:31: optim.clip_norm`."""

CONTEXT_PERIOD = 64
"""Steps within which each context of a stage has its exact share."""
_BELOW_ONE = 1.0 - 1e-9
_NO_LIMIT = float("inf")

RANGES: dict[type, dict[str, tuple[float, float]]] = {
    RunSection: {"seed": (0, 2**63 - 1)},
    ModelConfig: {
        "d_model": (1, _NO_LIMIT),
        "n_layer": (1, _NO_LIMIT),
        "order": (2, _NO_LIMIT),
        "l_max": (2, _NO_LIMIT),
        "extended_from": (2, _NO_LIMIT),
        "shift": (0, _NO_LIMIT),
        "embed_dropout": (0, _BELOW_ONE),
        "d_inner": (1, _NO_LIMIT),
        "emb_dim": (3, _NO_LIMIT),
        "filter_order": (1, _NO_LIMIT),
    },
    DataConfig: {"repeat_weight": (0, 1)},
    Stage: {
        "context_length": (1, _NO_LIMIT),
        "until_tokens": (1, _NO_LIMIT),
        "micro_batch_size": (1, _NO_LIMIT),
        "shorter_contexts": (1, _NO_LIMIT),
        "context_weights": (0, _NO_LIMIT),
        "sequence_parallel": (1, _NO_LIMIT),
    },
    OptimConfig: {
        "learning_rate": (0, _NO_LIMIT),
        "weight_decay": (0, _NO_LIMIT),
        "warmup_fraction": (0, 1),
        "clip_norm": (1e-12, _NO_LIMIT),
        "filter_learning_rate": (0, _NO_LIMIT),
        "global_batch_tokens": (1, _NO_LIMIT),
    },
    ParallelConfig: {
        "workers": (1, 1_000_000),
        "min_workers": (1, 1_000_000),
        "zero_stage": (0, 3),
        "collective_timeout_s": (1, _NO_LIMIT),
    },
    CheckpointConfig: {
        "every_steps": (1, _NO_LIMIT),
        "keep_last": (1, _NO_LIMIT),
        "keep_every": (0, _NO_LIMIT),
        "grace_s": (1, _NO_LIMIT),
    },
    EvaluateConfig: {"every_steps": (1, _NO_LIMIT), "max_bases": (1, _NO_LIMIT)},
}
"""Inclusive range of each section's numbers."""


def check(config: RunConfig, where: Where) -> None:
    """Raise InputError, naming the line, for the first number that is out of range or contradicts another."""
    for name, section in vars(config).items():
        if type(section) in RANGES:
            _check_ranges(section, where, name)
    if config.model.emb_dim % 2 == 0:
        raise InputError(f"{where('model', 'emb_dim')}: {config.model.emb_dim}: want an odd number of at least 3")
    contexts = [*config.model.extended_from, config.model.l_max]
    if contexts != sorted(set(contexts)):
        raise InputError(
            f"{where('model', 'extended_from')}: {config.model.extended_from}: want the l_max of each model before an "
            f"extension, rising to model.l_max={config.model.l_max}"
        )
    if config.optim.filter_learning_rate is not None and not config.optim.learning_rate:
        raise InputError(f"{where('optim', 'filter_learning_rate')}: optim.learning_rate is 0: leave it out")
    _check_data(config, where)
    fewest, most = config.parallel.min_workers, config.parallel.workers
    if fewest is not None and fewest > most:
        raise InputError(f"{where('parallel', 'min_workers')}: {fewest} is more than parallel.workers={most}: lower it")
    _check_no_secrets(config, where)
    if not config.curriculum:
        raise InputError(f"{where('curriculum')}: empty: want at least one stage")
    begin = 0
    for index, stage in enumerate(config.curriculum):
        _check_ranges(stage, where, "curriculum", str(index))
        _check_stage(config, index, stage, begin, where)
        begin = stage.until_tokens


def _check_ranges(section: object, where: Where, *path: str) -> None:
    for key, (low, high) in RANGES[type(section)].items():
        found = getattr(section, key)
        for value in found if isinstance(found, list) else [found]:
            if value is not None and not low <= value <= high:
                bound = f"at least {low:,}" if high == _NO_LIMIT else f"between {low:,} and {high:,}"
                raise InputError(f"{where(*path, key)}: {value} is out of range: want {bound}")


def _check_data(config: RunConfig, where: Where) -> None:
    shards, weights = config.data.shards, config.data.weights
    if not shards:
        raise InputError(f"{where('data', 'shards')}: empty: want at least one URL of a shard set")
    if weights and (len(weights) != len(shards) or not all(0 < weight < float("inf") for weight in weights)):
        raise InputError(f"{where('data', 'weights')}: {weights}: want one positive weight per shard set, or []")


def _check_no_secrets(config: RunConfig, where: Where) -> None:
    """Recipes are kept beside runs and printed; storage refuses such URLs too, but only when it opens them."""
    for key, url in ((("run", "url"), config.run.url), *((("data", "shards"), url) for url in config.data.shards)):
        if without_secrets(url) != url:
            raise InputError(
                f"{where(*key)}: {url}: has a user name or password, which a recipe would keep: credentials come from "
                f"the environment or the provider's own files"
            )


def _check_stage(config: RunConfig, index: int, stage: Stage, begin: int, where: Where) -> None:
    def at(key: str) -> str:
        return where("curriculum", str(index), key)

    if stage.context_length > config.model.l_max:
        raise InputError(
            f"{at('context_length')}: {stage.context_length} is longer than model.l_max={config.model.l_max}: "
            f"set model.l_max to the longest context of the curriculum"
        )
    if stage.until_tokens <= begin:
        raise InputError(
            f"{at('until_tokens')}: {stage.until_tokens}: want more than the {begin} tokens the stage begins at"
        )
    _check_shorter_contexts(stage, at)
    _check_workers(config, stage, at)
    for key, context in (
        ("context_length", stage.context_length),
        *(("shorter_contexts", c) for c in stage.shorter_contexts),
    ):
        try:
            slice_length(context, stage.sequence_parallel)
        except InputError as error:
            raise InputError(f"{at(key)}: {error}") from None
        if config.optim.global_batch_tokens % context:
            raise InputError(
                f"{at(key)}: {context} does not divide "
                f"optim.global_batch_tokens={config.optim.global_batch_tokens}: change one of them"
            )


def _check_shorter_contexts(stage: Stage, at: Callable[[str], str]) -> None:
    """The contexts of a stage differ, and each has its turn."""
    shorter, weights = stage.shorter_contexts, stage.context_weights
    if len({stage.context_length, *shorter}) <= len(shorter) or any(c >= stage.context_length for c in shorter):
        raise InputError(
            f"{at('shorter_contexts')}: {shorter}: want different lengths below context_length={stage.context_length}"
        )
    if not weights:
        return
    if len(weights) != 1 + len(shorter) or not all(0 < weight < _NO_LIMIT for weight in weights):
        raise InputError(
            f"{at('context_weights')}: {weights}: want one positive weight for context_length and one for each of "
            f"shorter_contexts={shorter}, or []"
        )
    if min(weights) * CONTEXT_PERIOD < sum(weights):
        raise InputError(
            f"{at('context_weights')}: {weights}: the smallest is less than one step of {CONTEXT_PERIOD}: raise it"
        )


def _check_workers(config: RunConfig, stage: Stage, at: Callable[[str], str]) -> None:
    """Workers must form at least one group of sequence_parallel."""
    ranks, workers = stage.sequence_parallel, config.parallel.min_workers or config.parallel.workers
    if ranks > workers:
        raise InputError(
            f"{at('sequence_parallel')}: {ranks} is more than the {workers} workers that the run may have to do with: "
            f"lower it, or raise parallel.{'min_' if config.parallel.min_workers else ''}workers"
        )

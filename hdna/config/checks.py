"""Ranges of a recipe, and the arithmetic that its numbers must satisfy together."""

from collections.abc import Callable

from hdna.config.schema import RunConfig, Stage
from hdna.config.slices import divisors, slice_length
from hdna.errors import InputError

Place = Callable[..., str]
"""Says where a key was written: `place("optim", "clip_norm")` gives `recipe.yaml:31: optim.clip_norm`."""

_BELOW_ONE = 1.0 - 1e-9


def check(config: RunConfig, place: Place) -> None:
    """Raise InputError, naming the line, for the first number that is out of range or contradicts another."""
    _check_ranges(config, place)
    _check_model(config, place)
    _check_data(config, place)
    if not config.curriculum:
        raise InputError(f"{place('curriculum')}: empty: want at least one stage")
    begin = 0
    for index, stage in enumerate(config.curriculum):
        _check_stage(config, index, stage, begin, place)
        begin = stage.until_tokens


def _check_ranges(config: RunConfig, place: Place) -> None:
    positive = float("inf")
    for section, key, low, high in (
        ("run", "seed", 0, 2**63 - 1),
        ("model", "d_model", 1, positive),
        ("model", "n_layer", 1, positive),
        ("model", "order", 2, positive),
        ("model", "l_max", 2, positive),
        ("model", "shift", 0, positive),
        ("model", "embed_dropout", 0, _BELOW_ONE),
        ("model", "filter_order", 1, positive),
        ("data", "repeat_weight", 0, 1),
        ("optim", "learning_rate", 0, positive),
        ("optim", "weight_decay", 0, positive),
        ("optim", "warmup_fraction", 0, 1),
        ("optim", "clip_norm", 1e-12, positive),
        ("optim", "global_batch_tokens", 1, positive),
        ("parallel", "workers", 1, positive),
        ("parallel", "zero_stage", 0, 3),
        ("parallel", "collective_timeout_s", 1, positive),
        ("checkpoint", "every_steps", 1, positive),
        ("checkpoint", "keep_last", 1, positive),
        ("checkpoint", "keep_every", 0, positive),
        ("evaluate", "every_steps", 1, positive),
        ("evaluate", "max_bases", 1, positive),
    ):
        value = getattr(getattr(config, section), key)
        if not low <= value <= high:
            bound = f"at least {low:g}" if high == positive else f"between {low:g} and {high:g}"
            raise InputError(f"{place(section, key)}: {value} is out of range: want {bound}")


def _check_model(config: RunConfig, place: Place) -> None:
    if config.model.emb_dim < 3 or config.model.emb_dim % 2 == 0:
        raise InputError(f"{place('model', 'emb_dim')}: {config.model.emb_dim}: want an odd number of at least 3")
    if config.model.d_inner is not None and config.model.d_inner < 1:
        raise InputError(
            f"{place('model', 'd_inner')}: {config.model.d_inner}: want at least 1, or null for 4 * d_model"
        )


def _check_data(config: RunConfig, place: Place) -> None:
    shards, weights = config.data.shards, config.data.weights
    if not shards:
        raise InputError(f"{place('data', 'shards')}: empty: want at least one URL of a shard set")
    if weights and (len(weights) != len(shards) or not all(0 < weight < float("inf") for weight in weights)):
        raise InputError(f"{place('data', 'weights')}: {weights}: want one positive weight per shard set, or []")


def _check_stage(config: RunConfig, index: int, stage: Stage, begin: int, place: Place) -> None:
    def at(key: str) -> str:
        return place("curriculum", str(index), key)

    if stage.context_length < 1 or stage.micro_batch_size < 1:
        key = "context_length" if stage.context_length < 1 else "micro_batch_size"
        raise InputError(f"{at(key)}: {getattr(stage, key)} is out of range: want at least 1")
    if stage.context_length > config.model.l_max:
        raise InputError(
            f"{at('context_length')}: {stage.context_length} is longer than model.l_max={config.model.l_max}: "
            f"set model.l_max to the longest context of the curriculum"
        )
    if stage.until_tokens <= begin:
        raise InputError(
            f"{at('until_tokens')}: {stage.until_tokens}: want more than the {begin} tokens the stage begins at"
        )
    _check_slices(config, stage, at)
    data_ranks = config.parallel.workers // stage.sequence_parallel
    per_micro_step = stage.micro_batch_size * data_ranks * stage.context_length
    if config.optim.global_batch_tokens % per_micro_step:
        raise InputError(
            f"{at('micro_batch_size')}: {stage.micro_batch_size} samples x {stage.context_length} tokens x "
            f"{data_ranks} data rank(s) = {per_micro_step} does not divide "
            f"optim.global_batch_tokens={config.optim.global_batch_tokens}: change one of them"
        )


def _check_slices(config: RunConfig, stage: Stage, at: Callable[[str], str]) -> None:
    """The workers must form groups of sequence_parallel, and each group cut a sample into equal slices."""
    ranks, workers = stage.sequence_parallel, config.parallel.workers
    if ranks < 1:
        raise InputError(f"{at('sequence_parallel')}: {ranks} is out of range: want at least 1")
    if workers % ranks:
        problem = (
            f"is more than parallel.workers={workers}" if ranks > workers else f"does not divide {workers} workers"
        )
        raise InputError(
            f"{at('sequence_parallel')}: {ranks} {problem}: want one of {', '.join(map(str, divisors(workers)))}, "
            f"or other parallel.workers"
        )
    try:
        slice_length(stage.context_length, ranks)
    except InputError as error:
        raise InputError(f"{at('context_length')}: {error}") from None

"""A chosen recipe as YAML with the reason beside each number, and the commands that use it."""

import json
import shlex
from collections.abc import Iterator

from hdna.config.recipe import parse_recipe
from hdna.errors import printable
from hdna.init.choice import PATIENCE_H, TOKENS_PER_PARAMETER, TRAINING_SHARE, Choice
from hdna.init.schedule import MAX_PASSES, MIN_STEPS, MIN_TOKENS, n50
from hdna.model.flops import parameter_count
from hdna.quantities import duration

SPLIT_RULE = "similarity"
_WIDTH = 118


def commands(choice: Choice, recipe: str, folder: str) -> list[str]:
    """What to type, in order: each genome to `folder`, which gets the shard set too, then training."""
    lines, stores = [], []
    for genome in choice.genomes:
        store = genome.url if genome.is_store else f"{folder}/{genome.assembly}.zarr"
        stores.append(store)
        if not genome.is_store:
            lines.append(f"hdna prep genome {shlex.quote(genome.url)} --out {shlex.quote(store)}")
    shards, run = (shlex.quote(url) for url in (choice.config.data.shards[0], choice.config.run.url))
    listed = " ".join(map(shlex.quote, stores))
    return [
        *lines,
        f"hdna prep shards {listed} --out {shards} --window {choice.window} --split-by {SPLIT_RULE}",
        f"hdna prep verify {shards}",
        f"hdna train {shlex.quote(recipe)}",
        f"hdna report {run}",
    ]


def recipe_text(choice: Choice, recipe: str, folder: str) -> str:
    """The recipe file `recipe`, which loads to the choice's config."""
    config = choice.config
    model, parallel = config.model, config.parallel
    lines = [*_head(choice), "#", "# Run:", *(f"#   {line}" for line in commands(choice, recipe, folder)), ""]

    def section(name: str, *keys: tuple[str, object, str]) -> None:
        lines.append(f"{name}:")
        for key, value, reason in keys:
            lines.extend(_wrapped(reason, "  # "))
            lines.append(f"  {key}: {value}")

    section(
        "run",
        ("url", json.dumps(config.run.url), "Where metrics, checkpoints and report go: a folder or a bucket's URL."),
    )
    section(
        "model",
        ("d_model", model.d_model, _why_size(choice)),
        ("n_layer", model.n_layer, ""),
        ("l_max", model.l_max, _why_context(choice)),
        ("embed_dropout", model.embed_dropout, _why_dropout(choice)),
    )
    section("data", ("shards", json.dumps(config.data.shards), _why_window(choice)))
    lines.extend(["curriculum:", *_wrapped(_why_tokens(choice), "  # "), *_wrapped(_WHY_STAGES, "  # ")])
    for stage in config.curriculum:
        keys = f"context_length: {stage.context_length}, until_tokens: {stage.until_tokens}"
        lines.append(f"  - {{{keys}, micro_batch_size: {stage.micro_batch_size}}}")
    section("optim", *_optim(choice))
    section(
        "parallel",
        ("workers", parallel.workers, f"One for each device: {parallel.workers} x {choice.machine.device.name}."),
        ("precision", parallel.precision, _WHY_PRECISION[parallel.precision]),
        ("activation_checkpointing", json.dumps(parallel.activation_checkpointing), _WHY_RECOMPUTE),
    )
    section(
        "evaluate",
        ("every_steps", config.evaluate.every_steps, "About ten evaluations, and one at the end of each stage."),
        ("max_bases", config.evaluate.max_bases, "All of them together cost about a tenth of training."),
    )
    text = "\n".join(lines) + "\n"
    assert parse_recipe(text, recipe) == config
    return text


def _head(choice: Choice) -> Iterator[str]:
    for genome in choice.genomes:
        size = f"{genome.bases:,} bases in {len(genome.contigs):,} contigs, half of them in contigs of at least"
        yield from _wrapped(printable(f"{genome.assembly}: {size} {n50([*genome.contigs]):,} (N50)"), "# ")
    machine = choice.machine
    yield from _wrapped(f"Chosen by hdna init for {machine.workers} x {machine.device.name}.", "# ")
    expected = choice.expected_seconds
    time = "unknown" if expected is None else f"about {duration(expected)}"
    yield from _wrapped(f"Time: {time}; speed {machine.source}.", "# ")
    if not choice.is_trained_enough:
        yield from _wrapped(TOO_SMALL, "# ")


TOO_SMALL = (
    f"Note: fewer than {TOKENS_PER_PARAMETER} tokens for each parameter of the smallest model. These genomes, or this "
    "time, are too little to pretrain on from nothing; 'hdna adapt' from weights that exist gets more out of them."
)
_WHY_STAGES = (
    "Half of what is left goes to each stage, the last one's context is the longest: short contexts teach most for "
    "their time. Micro-batches are the largest powers of two that fit the memory, or a CPU's cache."
)
_WHY_RECOMPUTE = "Only where activations do not fit the memory otherwise."
_WHY_PRECISION = {
    "bf16": "The device multiplies bfloat16 in hardware; filters and transforms stay fp32.",
    "fp32": "Few CPUs, and no GPU before Ampere, multiply bfloat16 quickly.",
}


_WHY_SLOW_FILTERS = "A fortieth: filters are less stable, and learn more slowly than the rest has to (bench/README.md)."


def _optim(choice: Choice) -> Iterator[tuple[str, object, str]]:
    optim = choice.config.optim
    if optim.filter_learning_rate is not None:
        yield "learning_rate", optim.learning_rate, "Of recipes/demo.yaml, found by trying for small batches."
        yield "filter_learning_rate", optim.filter_learning_rate, _WHY_SLOW_FILTERS
        yield "weight_decay", optim.weight_decay, "None: small models on few passes learned more without (likewise)."
    else:
        yield "learning_rate", optim.learning_rate, "The published maximum (paper, table A.1); not tuned."
    yield "warmup_fraction", optim.warmup_fraction, "Adam's moments begin at zero."
    yield "clip_norm", optim.clip_norm, "Low for small batches, whose gradients vary; else as published."
    steps = choice.tokens // optim.global_batch_tokens
    yield (
        "global_batch_tokens",
        optim.global_batch_tokens,
        f"{steps:,} steps; at least a sample of the longest context for each worker.",
    )


def _why_size(choice: Choice) -> str:
    parameters = parameter_count(choice.config.model)
    limit = f"{choice.hours or PATIENCE_H:g} h" if choice.expected_seconds is not None else "memory"
    return (
        f"{parameters:,} parameters, the geometry of {choice.size.like}: the largest published one that gets "
        f"{TOKENS_PER_PARAMETER} tokens a parameter (Hoffmann and others, arXiv 2203.15556) within {limit}, or the "
        f"smallest; {choice.tokens / parameters:,.1f} here."
    )


def _why_context(choice: Choice) -> str:
    context = choice.config.model.l_max
    if context == choice.window // 2:
        return "Half a window, so that samples do not all begin at the same bases."
    if context == choice.size.longest:
        return f"The longest that hdna init chooses for this size, as {choice.size.like} has."
    return f"So long that {MIN_STEPS:,} steps of a sample for each worker take no more than all tokens, or memory."


def _why_dropout(choice: Choice) -> str:
    passes = choice.tokens / choice.train_bases
    return f"{passes:.1f} passes over the train split: none up to two, then the published 0.1."


def _why_window(choice: Choice) -> str:
    return (
        f"Windows of {choice.window:,} bases: at most N50 and a 64th of all. About a tenth of the bases is valid, a "
        f"tenth test, by {SPLIT_RULE}, so that near-identical stretches fall on one side."
    )


def _why_tokens(choice: Choice) -> str:
    passes = f"{choice.tokens:,} tokens, {choice.tokens / choice.train_bases:.2f} of the train split's bases: "
    if choice.hours is None:
        return (
            f"{passes}about one pass, or as many as make {MIN_TOKENS / 1e6:.0f} million tokens, up to {MAX_PASSES} "
            "(up to four teach nearly as much as new text: Muennighoff and others, arXiv 2305.16264)."
        )
    share = f"training has {TRAINING_SHARE:.0%} of them"
    return f"{passes}what fits {choice.hours:g} h ({share}), up to {MAX_PASSES} passes (arXiv 2305.16264)."


def _wrapped(text: str, prefix: str) -> list[str]:
    """Lines of a comment; none of an empty text."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{prefix}{word}")
    return lines

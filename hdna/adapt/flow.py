"""An adaptation from genomes to report; the same call goes on with one that was stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hdna import storage
from hdna.adapt.data import prepared
from hdna.adapt.recipe import Source, adaptation, from_scratch, longest_context
from hdna.checkpoint import read_state, weights_url
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.data.window_table import window_table
from hdna.report.comparison import sooner, write_comparison
from hdna.report.history import History, read_history
from hdna.report.page import write_report
from hdna.run.files import RECIPE
from hdna.run.ownership import refuse_other_files
from hdna_prep.pool import Pool

_DATA, _SCRATCH = "-data", "-scratch"
"""Beside the run: its stores and shards, and the run that it is compared with."""


@dataclass(frozen=True)
class Adapted:
    """What an adaptation has made."""

    page: str
    """The report's URL."""
    verdict: str
    """What it was worth, in words."""


def adapt(
    fastas: Sequence[str],
    source: str,
    out: str,
    overrides: Sequence[str],
    scratch: bool,
    pool: Pool,
    train: Callable[[RunConfig], None],
    say: Callable[[str], None],
) -> Adapted:
    """Continue pretraining the weights at `source` on these genomes, as the run `out`.

    Stores and shards come to `out`-data; with `scratch`, the same is trained from new weights, as `out`-scratch.
    `train` runs a recipe to its end.

    Raises InputError for anything that cannot be used, before training if it is known before.
    """
    config = _recipe(fastas, source, out, overrides, pool, say)
    train(config)
    page, runs = write_report(out), [read_history(out)]
    if scratch:
        beside = from_scratch(config, out + _SCRATCH)
        say(f"from scratch, for comparison: {beside.run.url}")
        train(beside)
        write_report(beside.run.url)
        page = write_comparison([out, beside.run.url])
        runs.append(read_history(beside.run.url))
    return Adapted(page, _verdict(*runs))


def _recipe(
    fastas: Sequence[str], source: str, out: str, overrides: Sequence[str], pool: Pool, say: Callable[[str], None]
) -> RunConfig:
    """A new run's recipe; that of one which has begun is its own, whatever has become of the source since."""
    own = storage.join(out, RECIPE)
    if storage.exists(own):
        config = parse_recipe(storage.read(own).decode(errors="replace"), own, overrides)
        prepared(fastas, out + _DATA, config.model.l_max, pool, say)
        return config
    refuse_other_files(out)
    weights = weights_url(source)
    state = read_state(weights)
    known = Source(weights, parse_recipe(state.recipe, f"the recipe in {weights}"), trained=state.tokens > 0)
    shards = prepared(fastas, out + _DATA, longest_context(known), pool, say)
    return adaptation(known, shards.url, window_table(shards, "train"), out, overrides)


def _verdict(adapted: History, scratch: History | None = None) -> str:
    """What the adaptation was worth."""
    bits, begun = adapted.valid_bits_per_base, adapted.baselines.get("source")
    if bits is None or begun is None:
        return "the genomes have no valid split to judge by"
    text = f"{begun:.4f} valid bits per base before, {bits:.4f} after {adapted.steps[-1].tokens:,} tokens"
    if scratch is None or scratch.valid_bits_per_base is None:
        return text
    then = sooner(adapted, "the adapted model", scratch, "training from scratch")
    return f"{text}; from scratch {scratch.valid_bits_per_base:.4f}: {then}"

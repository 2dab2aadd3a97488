"""The recipe of an adaptation, over genomes from a plasmid to a mammal and sources of every kind."""

from dataclasses import replace

import numpy as np
import pytest

from hdna.adapt.data import window_of
from hdna.adapt.recipe import EPOCHS, Source, adaptation, from_scratch, longest_context
from hdna.config import list_recipes, load_recipe
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.window_table import WindowTable
from hdna.errors import InputError

GENOMES = [50_000, 1_000_000, 12_000_000, 100_000_000, 3_100_000_000]
"""Train bases of a plasmid, the C. elegans piece of the tests, yeast, C. elegans, a human."""


def train_split(bases: int, context: int) -> WindowTable:
    """Windows as `hdna adapt` cuts them, four fifths of a genome's."""
    window = window_of(bases * 5 // 4, context)
    windows = max(1, bases // window)
    return WindowTable(np.full(windows, min(bases, window)), np.arange(windows) // 64)


def source(name: str, trained: bool = True) -> Source:
    return Source("runs/source/checkpoints/step-000001", load_recipe(name), trained)


@pytest.mark.parametrize("bases", GENOMES)
@pytest.mark.parametrize("name", list_recipes())
def test_every_source_and_genome_give_a_recipe_that_can_be_trained(name: str, bases: int) -> None:
    theirs = source(name)
    longest = max(stage.context_length for stage in theirs.recipe.curriculum)
    train = train_split(bases, longest)
    made = adaptation(theirs, "data", train, "runs/adapted")
    (stage,) = made.curriculum
    assert (made.run.init_from, made.model) == (theirs.url, theirs.recipe.model)
    assert stage.context_length <= longest
    assert train.total_bases >= 64 * stage.context_length
    curriculum = Curriculum.of(made)
    DataOrder([train], curriculum, made.run.seed)
    assert curriculum.tokens == stage.until_tokens
    assert EPOCHS * train.total_bases * 0.7 < curriculum.tokens <= EPOCHS * train.total_bases
    assert 64 <= curriculum.steps <= 2100
    assert 20 <= curriculum.steps / made.evaluate.every_steps < 41
    assert stage.micro_batch_size * stage.context_length <= max(
        stage.context_length,
        theirs.recipe.curriculum[-1].context_length * theirs.recipe.curriculum[-1].micro_batch_size,
    )


@pytest.mark.parametrize("l_max", [1026, 32_770, 160_002, 1_000_002])
def test_an_import_is_trained_at_the_context_of_its_publication(l_max: int) -> None:
    imported = load_recipe("quickstart", [f"model.l_max={l_max}"]) if l_max > 4096 else load_recipe("tiny_1k")
    assert longest_context(Source("imports/x", imported, trained=False)) == l_max - 2
    trained_at = max(stage.context_length for stage in imported.curriculum)
    assert longest_context(Source("runs/x", imported, trained=True)) == trained_at


def test_overrides_come_last_and_are_checked() -> None:
    train = train_split(1_000_000, 4096)
    made = adaptation(source("quickstart"), "data", train, "runs/adapted", ["optim.learning_rate=1e-5"])
    assert made.optim.learning_rate == 1e-5
    with pytest.raises(InputError, match=r"optim\.learning_rat: unknown key; did you mean 'learning_rate'"):
        adaptation(source("quickstart"), "data", train, "runs/adapted", ["optim.learning_rat=1e-5"])


def test_from_scratch_is_the_same_run_but_for_its_weights() -> None:
    made = adaptation(source("quickstart"), "data", train_split(1_000_000, 4096), "runs/adapted")
    extended = replace(made, model=replace(made.model, l_max=10**6, extended_from=[made.model.l_max]))
    beside = from_scratch(extended, "runs/scratch")
    assert (beside.run.url, beside.run.init_from, beside.model.extended_from) == ("runs/scratch", None, [])
    assert (beside.curriculum, beside.optim, beside.data) == (made.curriculum, made.optim, made.data)

"""The shipped recipes: published geometries, a manual in front of each, and arithmetic that holds."""

import itertools
import re
from dataclasses import replace

import pytest

from hdna.config import RunConfig, list_recipes, load_recipe, recipe_text
from hdna.config.recipe import dump_recipe, parse_recipe
from hdna.data.curriculum import Curriculum
from hdna.model import parameter_count

PUBLISHED = {
    # name: (d_model, n_layer, l_max, parameters, longest context)
    "tiny_1k": (128, 2, 1_026, 436_096, 1_024),
    "tiny_1k_d256": (256, 2, 1_026, 1_641_088, 1_024),
    "tiny_16k": (128, 2, 16_386, 436_096, 16_384),
    "small_32k": (256, 4, 32_770, 3_277_568, 32_768),
    "medium_160k": (256, 8, 160_002, 6_550_528, 160_000),
    "medium_450k": (256, 8, 450_002, 6_550_528, 450_000),
    "large_1m": (256, 8, 1_000_002, 6_550_528, 1_000_000),
}
OURS = {"beyond_4m": (256, 8, 4_194_304, 6_550_528, 4_194_304)}
"""Sizes that nobody has published."""
SIZES = PUBLISHED | OURS
WORKERS = {
    "medium_160k": (1, 2, 8, 64),
    "medium_450k": (1, 2, 8, 16),
    "large_1m": (8, 16, 128),
    "beyond_4m": (16, 32, 256),
}
"""Numbers of workers that a manual promises; one, where it is not here."""


@pytest.fixture(params=sorted(SIZES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(PUBLISHED))
def published(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def manual(name: str) -> str:
    return recipe_text(name).split("\n\n", 1)[0]


def test_the_shipped_recipes_are_the_published_sizes_one_beyond_and_two_for_a_laptop() -> None:
    assert set(list_recipes()) == {*PUBLISHED, *OURS, "quickstart", "demo"}


def test_geometry_and_parameter_count_are_those_of_the_size(name: str) -> None:
    config = load_recipe(name)
    d_model, n_layer, l_max, parameters, context = SIZES[name]
    assert (config.model.d_model, config.model.n_layer, config.model.l_max) == (d_model, n_layer, l_max)
    assert parameter_count(config.model) == parameters
    assert config.model.mlp_width == 4 * d_model
    assert config.curriculum[-1].context_length == context
    assert f"{parameters:,}" in manual(name)


def test_training_numbers_lie_within_the_published_ranges(published: str) -> None:
    config = load_recipe(published)
    samples = config.optim.global_batch_tokens / config.curriculum[-1].context_length
    assert 64 <= samples <= 256
    assert 10_000 <= Curriculum.of(config).steps <= 20_000
    assert 1.5e-4 <= config.optim.learning_rate <= 6e-4


def test_what_the_paper_fixes_for_every_size_is_kept(name: str) -> None:
    config = load_recipe(name)
    assert (config.optim.weight_decay, config.optim.clip_norm, config.optim.warmup_fraction) == (0.1, 1.0, 0.01)
    assert (config.model.embed_dropout, config.run.seed) == (0.1, 2222)


def test_contexts_about_double_and_stages_end_with_whole_steps(name: str) -> None:
    config = load_recipe(name)
    contexts = [stage.context_length for stage in config.curriculum]
    assert all(1.9 < following / one <= 2 for one, following in itertools.pairwise(contexts))
    assert all(stage.until_tokens % config.optim.global_batch_tokens == 0 for stage in config.curriculum)


def test_activations_are_recomputed_from_160k_on(name: str) -> None:
    assert load_recipe(name).parallel.activation_checkpointing == (SIZES[name][-1] >= 160_000)


def test_every_recipe_loads_for_the_workers_its_manual_promises(name: str) -> None:
    for workers in WORKERS.get(name, (1,)):
        assert load_recipe(name, [f"parallel.workers={workers}"]).parallel.workers == workers


def test_more_workers_share_a_sample_the_longer_it_is(name: str) -> None:
    stages = load_recipe(name).curriculum
    degrees = [stage.sequence_parallel for stage in stages]
    longest = {"large_1m": [1, 2, 4, 8], "beyond_4m": [1, 2, 4, 8, 16]}.get(name, [1])
    assert degrees == sorted(degrees) and sorted(set(degrees)) == longest
    slices = {stage.context_length // stage.sequence_parallel for stage in stages if stage.sequence_parallel > 1}
    assert len(slices) <= 1, "a rank's slice stays as long as it was"


def test_windows_of_the_manual_are_longer_than_the_longest_context(name: str) -> None:
    windows = [int(window) for window in re.findall(r"--window (\d+)", manual(name))] or [2**20]
    assert min(windows) > SIZES[name][-1]


def test_the_manual_states_the_arithmetic_of_the_recipe(name: str) -> None:
    config = load_recipe(name)
    text = " ".join(manual(name).replace("#", " ").split())
    curriculum = Curriculum.of(config)
    assert f"{curriculum.global_batch_tokens:,} tokens a step" in text
    assert f"up to step {curriculum.steps:,}: {curriculum.tokens:.3g}".replace("e+", "e").replace("e0", "e") in text
    short = curriculum.stages[0].end_step
    assert f"{len(curriculum.stages) - 1} short stages of {short} steps" in text


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_a_recipe_opens_with_a_summary_and_a_manual(name: str) -> None:
    first, *rest = recipe_text(name).splitlines()
    assert first.startswith("# ") and first.endswith(".") and 20 < len(first) <= 120
    text = "\n".join(rest)
    wanted = ["# For:", "# Needs:", "# Not for:"]
    if name in SIZES:
        wanted += [
            "# Run:",
            "# Published",
            "# Ours:",
            "# Arithmetic:",
            "# Avoided:",
            f"hdna train {name}",
        ]
        wanted += ["model card"] if name in PUBLISHED else ["no published weights"]
    for section in wanted:
        assert section in text
    assert max(len(line) for line in recipe_text(name).splitlines()) <= 120


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_dump_and_parse_give_the_same_recipe(name: str) -> None:
    config = load_recipe(name)
    assert parse_recipe(dump_recipe(config), "dumped") == config


@pytest.mark.parametrize(
    "url", ["a b", "yes", "1e5", "007", "~", "2026-11-22", "s3://b/ü", "a: b", "#x", "1:30", "é'\""]
)
def test_dump_and_parse_keep_text_that_looks_like_something_else(url: str) -> None:
    config: RunConfig = load_recipe("quickstart")
    changed = replace(config, run=replace(config.run, url=url), data=replace(config.data, shards=[url]))
    assert parse_recipe(dump_recipe(changed), "dumped") == changed

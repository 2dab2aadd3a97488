"""Values of a recipe: what is accepted, and how a wrong key, type or number is refused: one line, where and why."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_recipe import BASE, edited, error

from hdna.config import dump_recipe, load_recipe
from hdna.config.recipe import flatten, parse_recipe

# What is accepted.


def test_sections_that_are_left_out_have_their_defaults() -> None:
    config = parse_recipe(BASE, "r.yaml")
    assert (config.parallel.zero_stage, config.checkpoint.keep_last, config.optim.clip_norm) == (1, 3, 1.0)


@pytest.mark.parametrize("written", ["2e6", "2_000_000", "2000000", "2.0e+6", "2000000.0"])
def test_whole_numbers_may_be_written_in_any_way(written: str) -> None:
    for config in (
        parse_recipe(edited("2e5", written), "r.yaml"),
        parse_recipe(BASE, "r.yaml", [f"curriculum.1.until_tokens={written}"]),
    ):
        assert config.curriculum[1].until_tokens == 2_000_000
        assert type(config.curriculum[1].until_tokens) is int


@pytest.mark.parametrize("written", ["a b/c", "[a b/c]", '"a b/c"', "'a b/c'", '["a b/c"]'])
def test_a_text_alone_is_a_list_of_one(written: str) -> None:
    """Zsh refuses `data.shards=[x]` without quotes."""
    assert parse_recipe(BASE, "r.yaml", [f"data.shards={written}"]).data.shards == ["a b/c"]
    assert parse_recipe(edited("[work/shards]", written), "r.yaml").data.shards == ["a b/c"]
    assert parse_recipe(BASE, "r.yaml", ["optim.frozen=filter"]).optim.frozen == ["filter"]


def test_overrides_reach_into_lists_and_the_last_one_counts() -> None:
    config = parse_recipe(
        BASE,
        "r.yaml",
        [
            "curriculum.0.micro_batch_size=2",
            "curriculum[1].micro_batch_size=4",
            "data.shards=[s3://a/x, file:///b]",
            "data.shards.1=c",
            "parallel.workers=2",
            "run.url=first",
            "run.url=second=2",
        ],
    )
    assert [stage.micro_batch_size for stage in config.curriculum] == [2, 4]
    assert config.data.shards == ["s3://a/x", "c"]
    assert (config.parallel.workers, config.run.url) == (2, "second=2")


def test_a_leading_zero_does_not_mean_octal() -> None:
    assert parse_recipe(BASE, "r.yaml", ["run.seed=010"]).run.seed == 10


def test_a_recipe_is_found_by_name_or_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BASE)
    assert load_recipe(str(path)).run.url == "runs/test"
    assert load_recipe("quickstart", ["run.url=x"]).run.url == "x"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    rate=st.floats(0, 1, allow_nan=False),
    shards=st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1), min_size=1, max_size=3),
)
def test_values_arrive_as_they_were_written(seed: int, rate: float, shards: list[str]) -> None:
    quoted = ", ".join(f"'{shard}'" for shard in shards)
    config = parse_recipe(
        BASE, "r.yaml", [f"run.seed={seed}", f"optim.learning_rate={rate!r}", f"data.shards=[{quoted}]"]
    )
    assert (config.run.seed, config.optim.learning_rate, config.data.shards) == (seed, rate, shards)


def test_flatten_names_every_value_by_its_dotted_key() -> None:
    flat = flatten(parse_recipe(BASE, "r.yaml"))
    assert flat["curriculum.1.context_length"] == 512
    assert flat["data.shards.0"] == "work/shards"


# Keys.


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        (edited("learning_rate", "learning_rat"), "r.yaml:9: optim.learning_rat", "'learning_rate'"),
        (edited("optim:", "optimm:"), "r.yaml:8: optimm", "'optim'"),
        (edited("micro_batch_size: 1", "micro_batch: 1"), "r.yaml:7: curriculum.1.micro_batch", "'micro_batch_size'"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name(text: str, where: str, near: str) -> None:
    assert error(text) == f"{where}: unknown key; did you mean {near}?"


def test_a_key_that_resembles_none_is_answered_with_all_known_keys() -> None:
    assert "known keys: url, seed, resume" in error(edited("{url: runs/test}", "{url: a, zzz: 1}"))


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    assert error(BASE + "run: {url: b}\n") == "r.yaml:11: key 'run' is given twice, first on line 1: remove one"
    assert error(edited("url: runs/test", "url: a, url: b")).startswith("r.yaml:1: key 'url' is given twice")


@pytest.mark.parametrize("section", ["run", "model", "data", "curriculum"])
def test_a_section_that_is_missing_or_null_is_named(section: str) -> None:
    assert f"{section}: missing" in error(BASE, f"{section}=null")
    assert "run: missing" in error("model: {}\n")


def test_an_optional_section_cannot_be_null() -> None:
    assert error(BASE, "parallel=null").startswith("override 'parallel=null': parallel: want a mapping")
    assert error(BASE + "evaluate:\n").startswith("r.yaml:11: evaluate: want a mapping")


@pytest.mark.parametrize("value", ["", "null", "???"])
def test_a_needed_value_cannot_be_left_open(value: str) -> None:
    assert "run.url: missing: add it to the recipe" in error(BASE, f"run.url={value}")


# Types and ranges.


@pytest.mark.parametrize(
    ("override", "want"),
    [
        ("optim.learning_rate=fast", "want a finite number; got 'fast'"),
        ("optim.learning_rate=true", "want a finite number; got True"),
        ("optim.learning_rate=[1]", "want a finite number; got [1]"),
        ("optim.learning_rate=", "want a finite number; got None"),
        ("curriculum.0.micro_batch_size=1.5", "want a whole number"),
        ("curriculum.0.micro_batch_size=true", "want a whole number"),
        ("curriculum.0.micro_batch_size={}", "want a whole number"),
        ("model.d_inner=1.5", "want a whole number"),
        ("data.reverse_complement=2", "want true or false; got 2"),
        ("data.reverse_complement=yes", "want true or false; got 'yes'"),
        ("data.shards=5", "want a list, as in [first, second]; got 5"),
        ("data.shards=''", "data.shards.0: want text"),
        ("data.weights=one", "want a list, as in [first, second]; got 'one'"),
        ("optim.frozen=filters", "'filters': want one of embedding, filter"),
        ("data.shards=[1]", "data.shards.0: want text"),
        ("data.shards=[null]", "data.shards.0: want text"),
        ("data.weights=[a]", "data.weights.0: want a finite number"),
        ("run.url=5", "want text, quoted if necessary; got 5"),
        ("run.resume=false", "want one of auto, never, force"),
        ("parallel.precision=fp16", "'fp16': want one of bf16, fp32"),
        ("parallel.long_conv=ring", "want one of all_to_all"),
        ("curriculum=5", "want a list"),
        ("curriculum.0=5", "want a mapping with the keys context_length"),
        ("optim=fast", "want a mapping with the keys learning_rate"),
    ],
)
def test_a_wrong_type_is_refused(override: str, want: str) -> None:
    message = error(BASE, override)
    assert message.startswith(f"override {override!r}: ") and want in message


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", ".nan", ".inf", "-.inf", "1e400", "1e300"])
@pytest.mark.parametrize("key", ["optim.learning_rate", "optim.clip_norm", "model.w", "run.seed", "data.weights"])
def test_nan_infinity_and_huge_numbers_are_refused_for_every_key(key: str, number: str) -> None:
    assert f"{key}" in error(BASE, f"{key}=[{number}]" if key == "data.weights" else f"{key}={number}")


@pytest.mark.parametrize(
    "override",
    [
        "run.seed=-1",
        "model.d_model=0",
        "model.n_layer=-2",
        "model.order=1",
        "model.l_max=1",
        "model.shift=-0.1",
        "model.embed_dropout=1",
        "model.emb_dim=4",
        "model.d_inner=0",
        "model.filter_order=0",
        "data.repeat_weight=1.1",
        "data.shards=[]",
        "data.weights=[1, 2]",
        "data.weights=[-1]",
        "data.weights=[0]",
        "optim.learning_rate=-1e-4",
        "optim.weight_decay=-0.1",
        "optim.warmup_fraction=1.5",
        "optim.clip_norm=0",
        "optim.global_batch_tokens=0",
        "parallel.workers=0",
        "parallel.zero_stage=4",
        "checkpoint.every_steps=0",
        "checkpoint.keep_last=0",
        "checkpoint.keep_every=-1",
        "evaluate.every_steps=0",
        "evaluate.max_bases=0",
        "curriculum=[]",
        "curriculum.0.context_length=0",
        "curriculum.0.micro_batch_size=-1",
        "curriculum.0.until_tokens=-5",
        "curriculum.0.sequence_parallel=2",
    ],
)
def test_a_number_out_of_range_is_refused_and_named(override: str) -> None:
    assert error(BASE, override).startswith(f"override {override!r}: {override.partition('=')[0]}: ")


def test_a_number_out_of_range_is_reported_with_file_line_and_bound() -> None:
    want = "r.yaml:9: optim.learning_rate: -0.0003 is out of range: want at least 0"
    assert error(edited("3e-4", "-3e-4")) == want


@pytest.mark.parametrize("digits", [30, 2_000, 5_000, 100_000])
def test_a_huge_number_is_refused_in_a_short_line(digits: int) -> None:
    assert error(BASE, f"run.seed={'9' * digits}").startswith("override 'run.seed=999")
    assert error(edited("1e5", "9" * digits)).startswith("r.yaml:6: ")


# Numbers that contradict each other.


def test_a_context_longer_than_l_max_is_refused() -> None:
    message = error(edited("context_length: 512", "context_length: 2048"))
    assert message.startswith("r.yaml:7: curriculum.1.context_length: 2048 is longer than model.l_max=1024")


def test_a_global_batch_that_is_no_number_of_samples_is_refused() -> None:
    message = error(edited("context_length: 64", "context_length: 96"))
    assert message.startswith(
        "r.yaml:6: curriculum.0.context_length: 96 does not divide optim.global_batch_tokens=4096"
    )


def test_a_stage_that_wants_more_ranks_than_workers_is_refused() -> None:
    message = error(BASE, "parallel.workers=2", "curriculum.1.sequence_parallel=4")
    assert "curriculum.1.sequence_parallel: 4 is more than the 2 workers that" in message


@pytest.mark.parametrize("spelled", ["{min: 2, max: 8}", "{max: 8, min: 2}"])
def test_workers_may_be_a_range_in_a_file_and_in_an_override(spelled: str) -> None:
    for config in (
        parse_recipe(f"{BASE}parallel: {{workers: {spelled}}}\n", "r.yaml"),
        parse_recipe(BASE, "r.yaml", [f"parallel.workers={spelled}"]),
    ):
        assert (config.parallel.min_workers, config.parallel.workers) == (2, 8)
        assert parse_recipe(dump_recipe(config), "dumped") == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["parallel.workers={min: 2}"], "parallel.workers: want a number, or {min: 2, max: 8}"),
        (["parallel.workers={min: 9, max: 8}"], "parallel.min_workers: 9 is more than parallel.workers=8"),
        (["parallel.workers={min: 0, max: 8}"], "parallel.min_workers: 0 is out of range"),
        (["parallel.workers={min: x, max: 8}"], "parallel.min_workers: want a whole number"),
        (["parallel.workers={min: 1, max: 2}", "parallel.min_workers=1"], "and no min_workers"),
        (
            ["parallel.workers={min: 1, max: 8}", "curriculum.1.sequence_parallel=2"],
            "curriculum.1.sequence_parallel: 2 is more than the 1 workers that the run may have to do with",
        ),
    ],
)
def test_a_range_that_is_none_is_refused(overrides: list[str], message: str) -> None:
    assert message in error(BASE, *overrides)


@pytest.mark.parametrize("workers", range(1, 9))
def test_any_number_of_workers_may_train(workers: int) -> None:
    config = parse_recipe(BASE, "r.yaml", [f"parallel.workers={workers}", "curriculum.0.micro_batch_size=3"])
    assert config.parallel.workers == workers


@pytest.mark.parametrize(("length", "near"), [(512, "510 and 513"), (2, "6")])
def test_a_context_that_ranks_cannot_share_is_refused_with_the_nearest_lengths(length: int, near: str) -> None:
    stage = [f"curriculum.1.context_length={length}", "curriculum.1.sequence_parallel=3", "parallel.workers=3"]
    message = error(BASE, *stage, "curriculum.0.micro_batch_size=1", "optim.global_batch_tokens=4608")
    assert "cannot be cut into 3 equal slices" in message and message.endswith(f"that can are {near}")


@pytest.mark.parametrize("until", ["1e5", "5e4"])
def test_stages_that_overlap_are_refused(until: str) -> None:
    assert error(edited("2e5", until)).startswith("r.yaml:7: curriculum.1.until_tokens: ")


def test_every_number_of_a_loaded_recipe_is_finite() -> None:
    for value in flatten(parse_recipe(BASE, "r.yaml")).values():
        assert not isinstance(value, float) or math.isfinite(value)

"""Recipes are data: what is no recipe, no override or more than plain values is refused in one line, at once."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_recipe import BASE, edited, error

from hdna.config import load_recipe
from hdna.config.recipe import parse_recipe
from hdna.errors import InputError

# Overrides.


@pytest.mark.parametrize("override", ["", "optim.learning_rate", "=1", ".=1", "run..url=x", "..=1", " =1", "[0]=1"])
def test_an_argument_that_is_not_an_override_is_refused(override: str) -> None:
    assert error(BASE, override).startswith(f"override {override!r}: ")


@pytest.mark.parametrize(
    ("override", "want"),
    [
        ("curriculum.2.micro_batch_size=4", "curriculum has no entry '2': it has 2, counted from 0"),
        ("curriculum.-1.micro_batch_size=4", "curriculum has no entry '-1'"),
        ("curriculum.first.micro_batch_size=4", "curriculum has no entry 'first'"),
        ("run.url.x=1", "run.url is a single value"),
        ("data.shards.0.x=1", "data.shards.0 is a single value"),
        ("optim.lr=1", "optim.lr: unknown key"),
        ("zzz.a=1", "zzz: unknown key"),
        ("run.url=[a", "not valid YAML"),
    ],
)
def test_an_override_that_goes_nowhere_is_refused(override: str, want: str) -> None:
    assert want in error(BASE, override)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_override_makes_anything_but_an_input_error(key: str, value: str) -> None:
    for override in (f"{key}={value}", f"run.url={value}", f"curriculum.{key}={value}"):
        try:
            parse_recipe(BASE, "r.yaml", [override])
        except InputError as refused:
            assert "\n" not in str(refused)


# Recipes are data.


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "a${oc.env:HOME}b", "${run.seed}", "${a", "$${x}"])
def test_interpolation_is_refused_and_never_resolved(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/a-secret")
    for message in (
        error(edited("runs/test", f"'{value}'")),
        error(edited("[work/shards]", f"['{value}']")),
        error(BASE, f"run.url={value}"),
        error(BASE, f"data.shards=[{value}]"),
        error(BASE + f"'{value}': 1\n"),
    ):
        assert "interpolation" in message and "a-secret" not in message


@pytest.mark.parametrize(
    "text",
    [
        "run: &a {url: x}\nmodel: *a\n",
        "run: &a {url: x}\nmodel:\n  <<: *a\n",
        "run: &a {url: *a}\n",
        "run: &a {url: x}\n",
        "run: !!python/object/apply:os.system ['exit']\n",
        "run: {url: !!binary aGk=}\n",
        "run: !local {}\n",
    ],
)
def test_aliases_and_tags_are_refused(text: str) -> None:
    assert "not allowed in a recipe" in error(text)


def test_a_recipe_that_would_grow_without_end_is_refused_at_once() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    began = time.perf_counter()
    for text in (bomb + BASE, "a: " + "[" * 100_000, "a: " + "{a: " * 50_000, "#" * (1 << 20)):
        assert error(text).startswith("r.yaml")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "want a recipe: a YAML mapping"),
        ("# a comment\n", "want a recipe: a YAML mapping"),
        ("- a\n- b\n", "want a recipe: a YAML mapping"),
        ("hello\n", "want a recipe: a YAML mapping"),
        ("5\n", "want a recipe: a YAML mapping"),
        (">chr1\nACGT\n", "not valid YAML"),
        ("run: [1\nmodel: 2\n", "r.yaml:2: not valid YAML"),
        ("run:\n\turl: x\n", "r.yaml:2: not valid YAML"),
        ("run: a\x00b\n", "r.yaml:1: not valid YAML"),
        (BASE + "---\n" + BASE, "r.yaml:11: not valid YAML"),
        (BASE + "? [a]\n: 3\n", "r.yaml:11: a list or mapping as a key"),
        (BASE + "null: 3\n", "r.yaml:11: null: unknown key"),
        (BASE + "5: 3\n", "r.yaml:11: 5: unknown key"),
    ],
)
def test_text_that_is_not_a_recipe_is_refused(text: str, want: str) -> None:
    assert want in error(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_no_text_makes_anything_but_an_input_error(text: str) -> None:
    for recipe in (text, BASE + text, BASE.replace("runs/test", text)):
        try:
            parse_recipe(recipe, "r.yaml")
        except InputError as refused:
            assert "\n" not in str(refused)


# Files.


def refused(path: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    return str(caught.value)


def test_an_unknown_recipe_is_answered_with_the_nearest_name() -> None:
    assert refused("quikstart") == "recipe 'quikstart': no such recipe or file; did you mean 'quickstart'?"
    assert "shipped recipes: " in refused("zzzzz")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5_000, "nowhere/quickstart"])
def test_a_name_of_no_recipe_and_no_file_is_refused(name: str) -> None:
    assert "no such recipe or file" in refused(name)


def test_files_that_are_not_recipes_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "genome.fa.gz"
    binary.write_bytes(b"\x1f\x8b\x08\xff\xfe\x00")
    assert refused(str(binary)) == f"{binary}: not a text file: want a recipe in YAML"
    genome = tmp_path / "genome.fa"
    genome.write_bytes(b">chr1\n" + b"ACGT\n" * 100_000)
    assert "longer than" in refused(str(genome))
    assert "no such recipe or file" in refused(str(tmp_path))

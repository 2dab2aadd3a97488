"""The JSON Schema of recipes: it accepts whatever `load_recipe` accepts, and refuses what is wrong by itself."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from support.small_recipe import BASE, edited, error
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import list_recipes, load_recipe
from hdna.config.json_schema import FILE_NAME, recipe_schema, schema_text
from hdna.config.recipe import parse_recipe
from hdna.config.source import read_recipe
from hdna.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RECIPES = [*list_recipes().values(), ROOT / "bench" / "chr2.yaml"]
SCHEMA = Draft7Validator(recipe_schema())
CORE: dict[str, Callable[[str], object]] = {
    r"[-+]?[0-9]+": int,
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?": float,
    r"true|false": "true".__eq__,
    r"null|": lambda text: None,
}
"""Plain scalars of YAML 1.2, as editors resolve them."""


def as_editors_read(text: str) -> Any:  # noqa: ANN401 - whatever YAML held
    """YAML 1.2: `2e6` is a number, `2_000_000` is text."""

    def resolved(node: Any) -> Any:  # noqa: ANN401 - likewise
        if isinstance(node, dict):
            return {key: resolved(value) for key, value in node.items()}
        if isinstance(node, list):
            return [resolved(value) for value in node]
        return next((kind(node) for form, kind in CORE.items() if re.fullmatch(form, node)), node)

    return resolved(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506 - every scalar stays text


READERS: dict[str, Callable[[str], Any]] = {
    "YAML 1.2": as_editors_read,
    "YAML 1.1": yaml.safe_load,  # `2_000_000` is a number, `2e6` is text
    "hdna": lambda text: read_recipe(text, "r.yaml")[0],
}


def complaints(text: str) -> list[str]:
    """What the schema has against a recipe, whichever way its text is read."""
    return [
        f"{name}: {e.json_path}: {e.message}" for name, read in READERS.items() for e in SCHEMA.iter_errors(read(text))
    ]


def test_the_shipped_schema_is_what_the_generator_writes() -> None:
    shipped = (ROOT / "recipes" / FILE_NAME).read_text(encoding="utf-8")
    assert shipped == schema_text(), f"run: python -m hdna.config.json_schema > recipes/{FILE_NAME}"
    Draft7Validator.check_schema(json.loads(shipped))


def test_every_key_has_a_description_and_a_type() -> None:
    def walk(schema: dict[str, Any]) -> None:
        for name, key in schema["properties"].items():
            assert key["description"] and key["type"], name
            inner = key.get("items", key)
            if "properties" in inner:
                walk(inner)

    walk(recipe_schema())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_hold_against_the_schema(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", list_recipes().values(), ids=lambda path: path.stem)
def test_a_shipped_recipe_points_its_editor_to_the_schema_beside_it(path: Path) -> None:
    (named,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert (path.parent / named).is_file()


def test_the_schema_is_not_listed_as_a_recipe() -> None:
    assert not [name for name in list_recipes() if "schema" in name]


def test_a_copy_finds_its_schema_and_loads(tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    done = CliRunner().invoke(app, ["recipes", "tiny_1k", "--copy", str(copy)])
    assert done.exit_code == 0, done.output
    (named,) = re.findall(r"\$schema=(\S+)", copy.read_text(encoding="utf-8"))
    assert (tmp_path / named).read_text(encoding="utf-8") == schema_text()
    assert load_recipe(str(copy)) == load_recipe("tiny_1k")


@pytest.mark.parametrize("written", ["200000", "2e5", "2E+5", "2.0e5", "200_000", "200000.0"])
def test_whole_numbers_may_be_spelled_as_the_reader_takes_them(written: str) -> None:
    text = edited("2e5", written)
    assert parse_recipe(text, "r.yaml").curriculum[1].until_tokens == 200_000
    assert complaints(text) == []


@pytest.mark.parametrize("written", ["1e-2", "0.01", ".01", "9.9e-1", "0", "1"])
def test_fractions_may_be_spelled_as_the_reader_takes_them(written: str) -> None:
    text = BASE + f"  warmup_fraction: {written}\n"
    assert 0 <= parse_recipe(text, "r.yaml").optim.warmup_fraction <= 1
    assert complaints(text) == []


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("$: ", edited("optim:", "optimm:")),
        ("$.optim: ", edited("learning_rate", "learning_rat")),
        ("$.curriculum[1]: ", edited("micro_batch_size: 1", "micro_batch: 1")),
        ("$.run: ", edited("url: runs/test", "seed: 1")),
        ("$.run.url", edited("runs/test", "5")),
        ("$.run.resume", edited("runs/test", "a, resume: always")),
        ("$.data.shards", edited("[work/shards]", "5")),
        ("$.data.shards", edited("[work/shards]", "''")),
        ("$.data.shards", edited("[work/shards]", "[]")),
        ("$.data.shards[0]", edited("[work/shards]", "[1]")),
        ("$.data.weights[0]", edited("[work/shards]", "[a]\n  weights: [heavy]")),
        ("$.model.l_max", edited("1024", "1")),
        ("$.model.l_max", edited("1024", "1024.5")),
        ("$.model.l_max", edited("1024", "true")),
        ("$.model.l_max", edited("1024", "long")),
        ("$.model.l_max", edited("1024", "-1_024")),
        ("$.model.d_inner", edited("1024", "1024, d_inner: 0")),
        ("$.model.embed_dropout", edited("1024", "1024, embed_dropout: 1")),
        ("$.optim.learning_rate", edited("3e-4", "-3e-4")),
        ("$.optim.clip_norm", edited("3e-4", "3e-4\n  clip_norm: 0")),
        ("$.optim.warmup_fraction", edited("3e-4", "3e-4\n  warmup_fraction: 1.5")),
        ("$.optim.global_batch_tokens", edited("4096", "0e3")),
        ("$.curriculum", BASE.partition("curriculum")[0] + "curriculum: []\n"),
        ("$.curriculum[0].context_length", edited("context_length: 64", "context_length: 0")),
        ("$.curriculum[0].micro_batch_size", edited("micro_batch_size: 4", "micro_batch_size: [4]")),
        ("$.parallel", BASE + "parallel:\n"),
        ("$.parallel.zero_stage", BASE + "parallel: {zero_stage: 4}\n"),
        ("$.parallel.precision", BASE + "parallel: {precision: fp16}\n"),
        ("$.parallel.activation_checkpointing", BASE + "parallel: {activation_checkpointing: 1}\n"),
        ("$.evaluate.max_bases", BASE + "evaluate: {max_bases: null}\n"),
    ],
)
def test_one_wrong_value_is_refused_by_schema_and_reader_alike(key: str, text: str) -> None:
    found = complaints(text)
    for name in READERS:
        assert any(line.startswith(f"{name}: {key}") for line in found), (name, found)
    error(text)


KEYS = ("run.seed", "model.d_inner", "model.w", "optim.clip_norm", "optim.warmup_fraction", "parallel.zero_stage")
WRITTEN = r"[+]?0(\.0?)?|[-+]?[1-9]([0-9]{0,2}|[0-9]?_[0-9]{1,2})(\.[0-9]{0,2})?([eE][-+]?[0-9]{1,2})?|null|true|text"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KEYS), st.from_regex(WRITTEN, fullmatch=True))
def test_what_the_reader_accepts_the_schema_accepts(key: str, written: str) -> None:
    section, name = key.split(".")
    tree = as_editors_read(BASE)
    tree.setdefault(section, {})[name] = "HERE"
    text = yaml.safe_dump(tree, sort_keys=False).replace("HERE", written)
    try:
        parse_recipe(text, "r.yaml")
    except InputError:
        return
    assert complaints(text) == [], written

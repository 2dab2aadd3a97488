"""A recipe that is given again with other values: what is refused, and what is said."""

from pathlib import Path

import pytest

from hdna.config import load_recipe
from hdna.errors import InputError
from hdna.run.ownership import claim, refuse_taken


@pytest.fixture
def run(tiny_recipe: Path, tmp_path: Path) -> list[str]:
    """The words that name a run which has begun."""
    words = [f"run.url={tmp_path / 'run'}"]
    claim(load_recipe(str(tiny_recipe), words))
    return words


def test_every_changed_key_is_named(run: list[str], tiny_recipe: Path) -> None:
    changed = load_recipe(str(tiny_recipe), [*run, "optim.learning_rate=1e-3", "data.ignore_n=false"])
    with pytest.raises(InputError) as refused:
        refuse_taken(changed)
    assert str(refused.value).endswith(
        "already contains another run: its data.ignore_n is True, this recipe's is False; its optim.learning_rate is "
        "0.01, this recipe's is 0.001: choose another run.url, or continue it with run.resume=force"
    )


def test_who_else_is_told_of_a_run_may_change(run: list[str], tiny_recipe: Path) -> None:
    assert refuse_taken(load_recipe(str(tiny_recipe), [*run, "run.trackers=wandb", "run.project=yeast"])) == []


def test_force_says_what_it_changes(run: list[str], tiny_recipe: Path) -> None:
    forced = [*run, "run.resume=force"]
    assert refuse_taken(load_recipe(str(tiny_recipe), [*forced, "parallel.zero_stage=3"])) == []
    changed = load_recipe(str(tiny_recipe), [*forced, "optim.learning_rate=1e-3"])
    assert refuse_taken(changed) == ["run.resume=force: optim.learning_rate was 0.01, and is 0.001 from here on"]


def test_force_gives_no_run_another_model(run: list[str], tiny_recipe: Path) -> None:
    changed = load_recipe(str(tiny_recipe), [*run, "run.resume=force", "model.n_layer=1", "optim.learning_rate=1e-3"])
    with pytest.raises(InputError, match=r"its model.n_layer is 2, this recipe's is 1: choose another run.url$"):
        refuse_taken(changed)

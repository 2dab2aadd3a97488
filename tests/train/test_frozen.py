"""Frozen parts and the filters' own learning rate, on two ranks; of ZeRO 2, which steps like 1, see test_layout."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.rank_tasks import run_frozen
from support.ranks import run_ranks

from hdna.config import ModelConfig
from hdna.model import HyenaDNA
from hdna.train.optim import part_of

pytestmark = pytest.mark.ranks
SETTINGS = {
    "all": [],
    "some": ["optim.frozen=[embedding, filter]"],
    "others": ["optim.frozen=[hyena, mlp, norm]"],
    "slow": ["optim.filter_learning_rate=1e-4", "optim.learning_rate=1e-3", "optim.weight_decay=0"],
}
PARTS = ("embedding", "filter", "hyena", "mlp", "norm")
NORMS = ("blocks.0.hyena_norm", "blocks.0.mlp_norm", "norm")
Steps = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def found(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    """By setting and ZeRO stage, such as "some-3"."""
    folder = tmp_path_factory.mktemp("frozen")
    run_ranks(2, run_frozen, recipe=tiny_recipe, out=folder, settings=SETTINGS)
    return {path.stem: load_file(path) for path in folder.iterdir()}


def names(steps: Steps) -> list[str]:
    return [key.removeprefix("0.") for key in steps if key.startswith("0.")]


def test_parts_are_those_that_their_names_say() -> None:
    model = HyenaDNA(ModelConfig(d_model=8, n_layer=1, l_max=16))
    parts = {part: [name for name, _ in model.named_parameters() if part_of(name) == part] for part in PARTS}
    assert parts["embedding"] == ["embedding.weight"]
    assert parts["norm"] == [f"backbone.{name}.{leaf}" for name in NORMS for leaf in ("weight", "bias")]
    assert {name.split(".")[4] for name in parts["hyena"]} == {
        "in_proj",
        "out_proj",
        "short_weight",
        "short_bias",
        "long_bias",
    }
    assert all(".filter." in name for name in parts["filter"])
    assert sum(map(len, parts.values())) == len(list(model.parameters()))


@pytest.mark.parametrize("zero", [0, 1, 3])
def test_frozen_parts_stay_bit_for_bit_and_the_others_move(found: dict[str, Steps], zero: int) -> None:
    for setting, frozen in (("some", {"embedding", "filter"}), ("others", {"hyena", "mlp", "norm"})):
        steps = found[f"{setting}-{zero}"]
        for name in names(steps):
            assert torch.equal(steps[f"0.{name}"], steps[f"2.{name}"]) == (part_of(name) in frozen), name


@pytest.mark.parametrize("zero", [0, 1, 3])
def test_the_norm_that_is_clipped_is_that_of_what_moves(found: dict[str, Steps], zero: int) -> None:
    """Squares of norms add up over disjoint parts; to fp32's rounding of a sum."""
    squares = {setting: found[f"{setting}-{zero}"]["1.norm"].item() ** 2 for setting in SETTINGS}
    assert squares["some"] + squares["others"] == pytest.approx(squares["all"], rel=1e-5)
    assert min(squares["some"], squares["others"]) > 1e-3 * squares["all"]


@pytest.mark.parametrize("zero", [0, 1, 3])
def test_the_filters_move_at_their_own_rate(found: dict[str, Steps], zero: int) -> None:
    """Adam's first step is the learning rate, whatever the gradient, where that is far above its epsilon of 1e-8."""
    steps = found[f"slow-{zero}"]
    for name in names(steps):
        moved = (steps[f"1.{name}"] - steps[f"0.{name}"]).abs().max().item()
        assert moved == pytest.approx(1e-4 if part_of(name) == "filter" else 1e-3, rel=2e-2), name

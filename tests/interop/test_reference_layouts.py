"""Every published layout of HyenaDNA weights loads strictly; what cannot be right is refused by name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from support.layouts import hugging_face, hugging_face_tied, training_checkpoint
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.interop import from_reference, to_reference
from hdna.model import HyenaDNA

CONFIG = ModelConfig(d_model=8, n_layer=2, order=3, l_max=40, filter_order=4)
EMBEDDING = "backbone.embeddings.word_embeddings.weight"
FILTER = "backbone.layers.1.mixer.filter_fn"
State = dict[str, Tensor]


@pytest.fixture
def model() -> HyenaDNA:
    torch.manual_seed(0)
    return HyenaDNA(CONFIG)


@pytest.fixture
def standalone(model: HyenaDNA) -> State:
    return to_reference(model.state_dict(), CONFIG)


@pytest.mark.parametrize("layout", [dict, training_checkpoint, hugging_face, hugging_face_tied])
def test_each_layout_loads_strictly(layout: Callable[[State], State], model: HyenaDNA, standalone: State) -> None:
    other = HyenaDNA(CONFIG)
    other.load_state_dict(from_reference(layout(standalone)), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_standalone_layout_has_the_keys_and_shapes_the_reference_loads(standalone: State) -> None:
    """Geometry of the published layouts for d_model 8, order 3: 28 tensors a layer and 3 beside them."""
    shapes = {key: tuple(value.shape) for key, value in standalone.items()}
    assert len(shapes) == 2 * 28 + 3
    assert shapes[EMBEDDING] == (16, 8)
    assert shapes["backbone.layers.0.mixer.short_filter.weight"] == (32, 1, 3)
    assert shapes[f"{FILTER}.bias"] == (16,)
    assert shapes[f"{FILTER}.pos_emb.z"] == (1, 40, 5)
    assert shapes[f"{FILTER}.pos_emb.t"] == (1, 40, 1)
    assert shapes[f"{FILTER}.modulation.deltas"] == (1, 1, 16)
    assert {shapes[f"{FILTER}.implicit_filter.{i}.freq"] for i in (1, 3, 5)} == {(1, 4)}


def test_the_result_can_be_written_by_safetensors(standalone: State) -> None:
    """Which refuses tensors that share storage, as the three copies of a frequency could."""
    assert load(save(standalone)).keys() == standalone.keys()


def test_tables_of_an_extended_model_are_compared_with_its_own(model: HyenaDNA) -> None:
    extended = replace(CONFIG, l_max=100, extended_from=[40])
    stored = to_reference(model.state_dict(), extended)
    HyenaDNA(CONFIG).load_state_dict(from_reference(stored, extended))
    with pytest.raises(InputError, match="differs from its closed form"):
        from_reference(stored)


def test_partial_dicts_are_renamed_without_tables(model: HyenaDNA) -> None:
    part = {"backbone.blocks.1.hyena.short_weight": torch.ones(32, 3), "embedding.weight": torch.ones(16, 8)}
    theirs = to_reference(part)
    assert theirs.keys() == {"backbone.layers.1.mixer.short_filter.weight", EMBEDDING}
    back = from_reference(theirs)
    assert all(torch.equal(back[key], part[key]) for key in part)
    assert back.keys() == part.keys()


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("backbone.layers.0.mixer.attention.weight", lambda _: torch.ones(3), "unknown key.*mixer.attention.weight"),
        ("optimizer", lambda _: torch.ones(3), "unknown key 'optimizer'"),
        ("lm_head.weight", lambda _: torch.ones(16, 8), "lm_head.weight.*differs from another copy"),
        (f"{FILTER}.implicit_filter.3.freq", lambda x: x + 1, "implicit_filter.3.freq.*differs"),
        (EMBEDDING, lambda x: x[:12], "12 rows.*16"),
        (f"{FILTER}.pos_emb.z", lambda x: x * 1.01, "pos_emb.z.*closed form"),
        (f"{FILTER}.pos_emb.t", lambda x: x + 0.01, "pos_emb.t.*closed form"),
        (f"{FILTER}.modulation.deltas", lambda x: x.flip(-1), "modulation.deltas.*closed form"),
        (f"{FILTER}.pos_emb.z", lambda x: x * float("nan"), "pos_emb.z.*closed form"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(
    key: str, change: Callable[[Tensor | None], Tensor], message: str, standalone: State
) -> None:
    with pytest.raises(InputError, match=message):
        from_reference(standalone | {key: change(standalone.get(key))})


def test_rounding_of_a_stored_table_is_accepted(standalone: State) -> None:
    key = f"{FILTER}.pos_emb.z"
    assert from_reference(standalone | {key: standalone[key] * (1 + 1e-6)})


def test_a_key_that_is_not_ours_is_refused_on_the_way_out() -> None:
    with pytest.raises(InputError, match=r"unknown key 'backbone.blocks.0.hyena.wrong'"):
        to_reference({"backbone.blocks.0.hyena.wrong": torch.ones(1)})

"""Alleles by differences are the same as by whole passes, and these as by a loop over tokens."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hdna.config import ModelConfig
from hdna.downstream.variants.differences import by_differences
from hdna.downstream.variants.edits import Edit, Tokens
from hdna.downstream.variants.full_pass import by_full_pass
from hdna.downstream.variants.window_pass import window_pass
from hdna.genome.alphabet import A, C, G, N, T, encode
from hdna.interop import from_reference
from hdna.model import HyenaDNA
from hdna.model.hyena import HyenaOperator

GOLDEN = Path(__file__).parents[1] / "golden"
LENGTH, HORIZON = 320, 60
FP64, FP32 = 1e-10, 1e-5


def moved(config: ModelConfig, seed: int = 0) -> HyenaDNA:
    """A model in which biases, gains and distant positions count."""
    torch.manual_seed(seed)
    model = HyenaDNA(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return model


MODELS = {
    "order 2": ModelConfig(d_model=16, n_layer=2, l_max=LENGTH),
    "order 3": ModelConfig(d_model=8, n_layer=2, order=3, l_max=LENGTH),
    "three layers": ModelConfig(d_model=8, n_layer=3, l_max=LENGTH),
    "order 4": ModelConfig(d_model=8, n_layer=1, order=4, l_max=LENGTH),
    "extended": ModelConfig(d_model=8, n_layer=2, l_max=LENGTH, extended_from=[LENGTH // 2]),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> HyenaDNA:
    return moved(MODELS[request.param])


def window(seed: int = 0, length: int = LENGTH) -> Tokens:
    tokens = np.random.default_rng(seed).integers(A, T + 1, length).astype(np.uint8)
    tokens[190:200] = N
    return tokens


def edits(window_L: Tokens) -> dict[str, Edit]:
    def other(position: int) -> Tokens:
        return np.array([A if window_L[position] != A else C], dtype=np.uint8)

    end = len(window_L) - HORIZON
    return {
        "SNV": Edit(100, 1, other(100)),
        "the same place": Edit(100, 1, encode(b"N")),
        "MNV": Edit(120, 3, encode(b"GATTACA")[:3]),
        "substitution of another length": Edit(130, 2, encode(b"GATTACA")),
        "insertion": Edit(77, 0, encode(b"ACGTT")),
        "long insertion": Edit(80, 0, encode(b"ACGTTGCA" * 10)),
        "deletion of 5": Edit(90, 5, encode(b"")),
        "long deletion": Edit(60, 150, encode(b"")),
        "at N": Edit(186, 4, encode(b"AC")),
        "second position": Edit(1, 1, other(1)),
        "third position": Edit(2, 0, encode(b"GG")),
        "near the end": Edit(end, 1, other(end)),
        "deletion near the end": Edit(end - 5, 5, encode(b"")),
    }


def far(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest difference of log likelihoods and their ratio: in nats or, beyond one, relative."""
    pairs = [*zip(found, wanted, strict=True), (found[1] - found[0], wanted[1] - wanted[0])]
    return max(float((np.abs(a - b) / np.maximum(1, np.abs(b))).max()) for a, b in pairs)


def test_fp64_agrees_with_whole_passes(model: HyenaDNA) -> None:
    window_L = window()
    some = list(edits(window_L).values())
    with_fp64 = model.to(torch.float64)
    for horizon in (1, 2, 3, HORIZON):
        wanted = by_full_pass(with_fp64, window_L, some, horizon)
        assert far(by_differences(with_fp64, window_L, some, horizon), wanted) < FP64
    assert np.abs(wanted[1] - wanted[0]).min() > 1e-3, "an edit without an effect shows nothing"


def test_fp32_agrees_with_whole_passes(model: HyenaDNA) -> None:
    window_L = window()
    some = list(edits(window_L).values())
    with_fp32 = model.to(torch.float32)
    wanted = by_full_pass(with_fp32, window_L, some, HORIZON)
    assert far(by_differences(with_fp32, window_L, some, HORIZON), wanted) < FP32


@pytest.mark.parametrize("kind", edits(window()))
def test_a_whole_pass_agrees_with_a_loop_over_tokens(kind: str) -> None:
    """The sum of log probabilities, each from a pass over what comes before it."""
    model, window_L = moved(MODELS["order 2"]).double(), window()
    edit, horizon = edits(window_L)[kind], 12
    after = edit.start + edit.removed
    edited_L = np.concatenate([window_L[: edit.start], edit.inserted, window_L[after:]])
    sums = np.zeros(2)
    for p in range(edit.start, edit.start + horizon):
        if any(sequence[p] not in (A, C, G, T) for sequence in (window_L, edited_L)):
            continue
        for i, sequence in enumerate((window_L, edited_L)):
            logits_V = model(torch.from_numpy(sequence[None, :p].astype(np.int64)))[0, -1].numpy()
            sums[i] += logits_V[sequence[p]] - np.log(np.exp(logits_V).sum())
    reference_1, alternative_1 = by_full_pass(model, window_L, [edit], horizon)
    assert [reference_1[0], alternative_1[0]] == pytest.approx(sums, rel=1e-12)


def test_an_edit_that_changes_nothing_scores_nothing() -> None:
    model, window_L = moved(MODELS["order 2"]), window()
    same = [Edit(100, 1, window_L[100:101]), Edit(50, 0, encode(b"")), Edit(60, 30, window_L[60:90])]
    reference_E, alternative_E = by_differences(model, window_L, same, HORIZON)
    assert np.abs(alternative_E - reference_E).max() < 1e-5


def test_a_deletion_from_a_repeat_is_no_effect_of_length() -> None:
    """A period of a perfect repeat less leaves the sequence over the horizon as it was."""
    window_L = np.tile(encode(b"ACGTTCA"), 40)
    deletion, insertion = Edit(70, 7, encode(b"")), Edit(70, 0, encode(b"ACGTTCA"))
    for score in (by_full_pass, by_differences):
        reference_E, alternative_E = score(moved(MODELS["order 2"]), window_L, [deletion, insertion], HORIZON)
        assert np.abs(alternative_E - reference_E).max() < 1e-5


def test_where_either_has_no_base_neither_is_scored() -> None:
    """Both likelihoods change by the one position that N takes from either."""
    model, window_L = moved(MODELS["order 2"]).double(), window()
    here = Edit(150, 1, encode(b"N"))
    whole, rest = (by_full_pass(model, window_L, [Edit(150, 1, window_L[150:151])], a)[0][0] for a in (HORIZON, 1))
    assert by_differences(model, window_L, [here], HORIZON)[0][0] == pytest.approx(whole - rest)


def test_many_batches_are_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, window_L = moved(MODELS["order 2"]).double(), window()
    some = list(edits(window_L).values())
    wanted = by_differences(model, window_L, some, HORIZON)
    monkeypatch.setattr("hdna.downstream.variants.differences.CPU_NUMBERS", 2 * HORIZON * 64)
    assert far(by_differences(model, window_L, some, HORIZON), wanted) < FP64
    assert far(by_full_pass(model, window_L, some, HORIZON, rows=3), wanted) < FP64


def test_nothing_is_kept_before_the_first_edit_and_the_model_is_as_before() -> None:
    model, window_L = moved(MODELS["order 3"]), window()
    operator = model.backbone.blocks[0].hyena
    assert isinstance(operator, HyenaOperator)
    before = operator.left_halo, operator.long_convs
    by_differences(model, window_L, [Edit(200, 1, encode(b"A"))], HORIZON)
    assert (operator.left_halo, operator.long_convs) == before
    with torch.no_grad():
        kept = window_pass(model, torch.from_numpy(window_L.astype(np.int64)), 198, 59)
    assert {x.shape[-1] for b in kept.blocks for x in (*b.u_ODS, *b.y_ODS)} == {LENGTH - 198}
    assert {b.x_SD.shape[0] for b in kept.blocks} == {LENGTH - 198}


@pytest.mark.parametrize("name", ["order2_d32", "order3_d16"])
def test_the_reference_models_weights(name: str) -> None:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        geometry = json.loads(file.metadata()["config"])
        tensors = {key.removeprefix("weights."): file.get_tensor(key) for key in file.keys() if "weights." in key}  # noqa: SIM118
        window_L = file.get_tensor("input_ids")[0].numpy().astype(np.uint8)
    names = ModelConfig.__dataclass_fields__
    model = HyenaDNA(ModelConfig(**{key: value for key, value in geometry.items() if key in names})).eval()
    model.load_state_dict(from_reference(tensors))
    window_L = np.clip(window_L, A, T)
    some = [Edit(5, 1, encode(b"A")), Edit(5, 1, encode(b"C")), Edit(20, 3, encode(b"")), Edit(9, 0, encode(b"TT"))]
    wanted = by_full_pass(model, window_L, some, 20)
    assert far(by_differences(model, window_L, some, 20), wanted) < FP32


def test_what_does_not_fit_is_refused() -> None:
    model, window_L = moved(MODELS["order 2"]), window()
    end = LENGTH - HORIZON
    for edit in (Edit(0, 1, encode(b"A")), Edit(end + 1, 1, encode(b"A")), Edit(end, 1, encode(b""))):
        for score in (by_full_pass, by_differences):
            with pytest.raises(ValueError, match="does not fit in a window of 320"):
                score(model, window_L, [edit], HORIZON)


def test_no_edits_are_no_scores() -> None:
    for score in (by_full_pass, by_differences):
        assert [len(part) for part in score(moved(MODELS["order 2"]), window(), [], HORIZON)] == [0, 0]

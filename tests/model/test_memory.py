"""Memory in closed form against what a model, its gradients and an optimizer were seen to hold."""

from contextlib import nullcontext

import pytest
import torch
from support.live_bytes import PeakBytes

from hdna.config import ModelConfig
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.filter_cache import MicroStep
from hdna.model.memory import MicroStepShape, saved_bytes, state_bytes, working_bytes
from hdna.ops import tiled

BATCH, LENGTH = 3, 100
IDS, TARGETS = torch.full((BATCH, LENGTH), 7), torch.full((BATCH, LENGTH), 8)
WEIGHTS = torch.ones(BATCH, LENGTH)
"""Made here, so that they are not counted: the formulas leave the batch itself out."""

MODELS = [
    ModelConfig(d_model=24, n_layer=2, order=2, l_max=120, filter_order=10),
    ModelConfig(d_model=24, n_layer=1, order=3, l_max=120, filter_order=10, d_inner=30),
    ModelConfig(d_model=20, n_layer=3, order=4, l_max=100, emb_dim=7, filter_order=16, embed_dropout=0.0),
]


def forward(model: HyenaDNA, bf16: bool, micro_step: MicroStep) -> torch.Tensor:
    model.backbone.micro_step = micro_step
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        logits = model(IDS)
    return weighted_nats(logits, TARGETS, WEIGHTS)


def built(config: ModelConfig, recompute: bool) -> HyenaDNA:
    torch.manual_seed(0)
    model = HyenaDNA(config)
    model.backbone.activation_checkpointing = recompute
    return model


@pytest.mark.parametrize("tile", [BATCH * LENGTH, BATCH * LENGTH - 1, LENGTH - 1])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("config", MODELS, ids=lambda config: f"order {config.order}")
def test_saved_bytes_are_those_alive_after_the_forward_pass(
    config: ModelConfig, bf16: bool, recompute: bool, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte: a count of tensors leaves nothing to an allocator.

    A tile that holds all, so that nothing runs twice; one that holds the filters; and neither, as on accelerators.
    """
    monkeypatch.setattr(tiled, "CPU_TILE", tile)
    model = built(config, recompute)
    with PeakBytes() as live:
        nats = forward(model, bf16, MicroStep())
    said = saved_bytes(config, MicroStepShape(BATCH, LENGTH, bf16, on_cpu=True), recompute)
    assert nats.requires_grad and said == live.total
    if tile < LENGTH:
        assert said == saved_bytes(config, MicroStepShape(BATCH, LENGTH, bf16), recompute)


@pytest.mark.parametrize("tile", [BATCH * LENGTH, LENGTH - 1])
@pytest.mark.parametrize("recompute", [False, True])
def test_a_loss_that_is_still_held_after_its_backward_pass_holds_nothing_else(
    recompute: bool, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the loop holds it while the next micro step runs."""
    monkeypatch.setattr(tiled, "CPU_TILE", tile)
    model = built(MODELS[0], recompute)
    with PeakBytes() as live:
        nats = forward(model, False, MicroStep())
        nats.backward()
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    assert live.total - gradients <= 2 * nats.nbytes


@pytest.mark.parametrize("recompute", [False, True])
def test_saved_bytes_include_the_filters_kept_over_micro_steps(recompute: bool) -> None:
    config = MODELS[1]
    model = built(config, recompute)
    with PeakBytes() as live:
        forward(model, True, MicroStep(first=True, last=False)).backward()
        nats = forward(model, True, MicroStep(first=False, last=True))
        gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
        alive = live.total - gradients
    assert nats.requires_grad
    assert saved_bytes(config, MicroStepShape(BATCH, LENGTH, True, accumulates=True, on_cpu=True), recompute) == alive


@pytest.mark.parametrize(("recompute", "tiles"), [(False, 1), (True, 1), (False, 3), (True, 3)])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("config", MODELS, ids=lambda config: f"order {config.order}")
def test_the_peak_of_a_micro_step_is_near_the_estimate(
    config: ModelConfig, bf16: bool, recompute: bool, tiles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Working memory is estimated for accelerators, where it was seen within a tenth; here tensors are tiny, and bf16
    becomes fp32 more often.
    """
    monkeypatch.setattr(tiled, "CPU_TILE", BATCH * LENGTH // tiles)
    monkeypatch.setattr(tiled, "CUDA_TILE", BATCH * LENGTH // tiles)
    model, shape = built(config, recompute), MicroStepShape(BATCH, LENGTH, bf16, on_cpu=True)
    with PeakBytes() as live:
        forward(model, bf16, MicroStep()).backward()
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    said = saved_bytes(config, shape, recompute) + working_bytes(config, shape, recompute) + gradients
    assert live.peak / 1.15 <= said <= 1.5 * live.peak


def test_autograd_itself_saves_the_predicted_bytes() -> None:
    """A second witness, for a layer that keeps its activations: the hooks that see each tensor autograd saves."""
    config = MODELS[0]
    model = built(config, recompute=False)
    given = {x.untyped_storage().data_ptr() for x in (*model.parameters(), *model.buffers(), IDS, TARGETS, WEIGHTS)}
    saved: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nats = forward(model, False, MicroStep())
    held = sum(t.untyped_storage().nbytes() for place, t in saved.items() if place not in given) + nats.nbytes
    assert saved_bytes(config, MicroStepShape(BATCH, LENGTH, on_cpu=True), recompute=False) == held


def test_state_of_zero_0_is_what_model_and_adamw_hold() -> None:
    config = MODELS[2]
    model = built(config, recompute=False)
    forward(model, False, MicroStep()).backward()
    adam = torch.optim.AdamW(model.parameters())
    adam.step()
    parameters = sum(x.nbytes for x in (*model.parameters(), *model.buffers()))
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    moments = sum(x.nbytes for state in adam.state.values() for x in state.values() if x.ndim)
    assert state_bytes(config, 0, 1) == (parameters, gradients, moments)


def test_state_under_zero_is_partitioned_over_the_workers() -> None:
    """By hand for tiny-1k, 436,096 parameters of 4 bytes, 1,026 x 5 + 128 numbers of tables, over 8 workers."""
    config = ModelConfig(d_model=128, n_layer=2, l_max=1026)
    whole, part, tables = 1_744_384, 218_048, 21_032
    assert state_bytes(config, 0, 8) == (whole + tables, whole, 2 * whole)
    assert state_bytes(config, 1, 8) == (whole + tables, whole, 3 * part)
    assert state_bytes(config, 2, 8) == (whole + tables, part, 3 * part)
    assert state_bytes(config, 3, 8) == (part + tables, part, 2 * part)

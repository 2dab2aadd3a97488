"""The implicit filter over the micro-steps of an optimizer step: generated once, its gradient that of all of them."""

import pytest
import torch

from hdna.config import ModelConfig
from hdna.model import HyenaDNA
from hdna.model.backbone import Block
from hdna.model.filter_cache import MicroStep

CONFIG = ModelConfig(d_model=8, n_layer=2, order=3, l_max=64, embed_dropout=0.0, filter_order=8)


def gradients(model: HyenaDNA, micro_steps: list[MicroStep]) -> dict[str, torch.Tensor]:
    """Sum of gradients over micro-steps of different tokens."""
    model.zero_grad()
    draw = torch.Generator().manual_seed(0)
    for micro_step in micro_steps:
        model.backbone.micro_step = micro_step
        (model(torch.randint(7, 11, (2, 48), generator=draw)) ** 2).sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert len(found) == len(list(model.parameters()))
    return found


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_filter_for_all_micro_steps_gives_the_gradient_of_a_filter_for_each(count: int, recompute: bool) -> None:
    torch.manual_seed(0)
    model = HyenaDNA(CONFIG)
    expected = gradients(model, [MicroStep()] * count)
    model.backbone.activation_checkpointing = recompute
    generated = []
    for block in model.backbone.blocks:
        assert isinstance(block, Block)
        block.hyena.filter.register_forward_pre_hook(lambda module, span: generated.append(span))
    found = gradients(model, [MicroStep(n == 0, n == count - 1) for n in range(count)])
    assert len(generated) == CONFIG.n_layer
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6 * float(value.abs().max()))


def test_the_next_step_uses_the_new_weights() -> None:
    """Nothing of a step's filters outlives it; evaluation between its micro-steps does not disturb it either."""
    torch.manual_seed(0)
    model = HyenaDNA(CONFIG)
    steps = [MicroStep(True, False), MicroStep(False, True)]
    gradients(model, steps)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    expected = gradients(model, [MicroStep()] * 2)
    model.backbone.micro_step = steps[0]
    with torch.no_grad():
        model(torch.full((1, 20), 7))
    for name, value in gradients(model, steps).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6 * float(expected[name].abs().max()))

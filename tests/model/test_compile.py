"""torch.compile takes the whole model, and the operators that it takes as they are say the truth about themselves."""

import torch
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA, weighted_nats
from hdna.ops import dropout, fft_conv


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), requires_grad=True)


def test_operators_pass_torchs_check() -> None:
    """Schema, shapes without data, autograd and what a compiler makes of them."""
    torch.library.opcheck(fft_conv._long_conv, (random(2, 3, 17), random(3, 17), random(3)))
    torch.library.opcheck(dropout._keep_mask, (torch.arange(2), 5, 3, 0.1, 7, 0))


def test_the_model_compiles_as_one_graph_with_the_same_values_and_gradients() -> None:
    """With torch's reference backend, which needs no C++ compiler; three steps, whose dropout differs.

    Tolerance: without tiles, sums over positions are taken in another order.
    """
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=16, n_layer=1, l_max=64, order=3, embed_dropout=0.1))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    ids = torch.randint(7, 11, (2, 50))
    for seed in range(3):
        model.embed_dropout.set_position(seed, torch.arange(2))
        found = []
        for run in (compiled, model):
            nats = weighted_nats(run(ids), ids.roll(-1, 1), torch.ones(ids.shape))
            found.append([nats, *torch.autograd.grad(nats, list(model.parameters()))])
        for got, wanted in zip(*found, strict=True):
            assert (got - wanted).abs().max() <= 2e-6 * wanted.abs().max()

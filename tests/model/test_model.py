"""The model: causal at every order, exact under recomputation, precise under autocast."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest
import torch
from support.own_operators import run_within
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.model import IGNORE, HyenaDNA, parameter_count, parameter_tensors, train_flops_per_token, weighted_nats
from hdna.model.backbone import Block
from hdna.ops import tiled

CONFIG = ModelConfig(d_model=16, n_layer=2, l_max=96, filter_order=8, embed_dropout=0.0)
IDS = torch.randint(7, 12, (2, 90), generator=torch.Generator().manual_seed(0))


def build(config: ModelConfig = CONFIG) -> HyenaDNA:
    """A model whose parameters are moved off their initial values, so that biases and gains count."""
    torch.manual_seed(1)
    model = HyenaDNA(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def loss_gradients(model: HyenaDNA) -> dict[str, Tensor]:
    model.zero_grad()
    weighted_nats(model(IDS)[:, :-1], IDS[:, 1:], torch.ones(2, 89)).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_no_samples_give_no_logits() -> None:
    assert build()(IDS[:0]).shape == (0, 90, 16)


def test_one_token_is_a_sequence() -> None:
    model = build()
    torch.testing.assert_close(model(IDS[:, :1]), model(IDS)[:, :1])


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_token_changes_no_earlier_logits(order: int) -> None:
    model = build(replace(CONFIG, order=order))
    before = model(IDS)
    for t in (0, 1, 45, 89):
        changed = IDS.clone()
        changed[:, t] = 18 - changed[:, t]  # A ↔ N, C ↔ T
        changed[:, t] += changed[:, t].eq(9)  # G → T
        difference = (model(changed) - before).detach().abs().amax((0, 2))
        # An FFT spreads rounding over the row: the past is equal to fp32 rounding.
        assert t == 0 or difference[:t].max() < 1e-5
        assert difference[t] > 1e-3


@pytest.mark.parametrize("order", [2, 3, 4])
def test_every_parameter_gets_a_gradient_and_counts_match(order: int) -> None:
    config = replace(CONFIG, order=order, d_inner=24)
    gradients = loss_gradients(build(config))
    assert gradients.keys() == HyenaDNA(config).state_dict().keys()
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())
    assert sum(gradient.numel() for gradient in gradients.values()) == parameter_count(config)
    assert len(gradients) == parameter_tensors(config)


def test_the_context_reaches_back_to_its_beginning() -> None:
    changed = IDS.clone()
    changed[:, 0] = 6
    model = build()
    assert (model(changed) - model(IDS))[:, -1].abs().max() > 1e-4


def test_a_shorter_context_sees_the_same_filter() -> None:
    """The filter depends on l_max and not on the context, so a prefix gives the prefix of the logits."""
    model = build()
    torch.testing.assert_close(model(IDS[:, :37]), model(IDS)[:, :37], rtol=0, atol=1e-5)


def test_filter_spans_are_parts_of_the_whole_filter() -> None:
    block = build(replace(CONFIG, order=3)).backbone.blocks[0]
    assert isinstance(block, Block)
    generate = block.hyena.filter
    assert generate(0, 96).shape == (2, 16, 96)
    torch.testing.assert_close(generate(40, 77), generate(0, 96)[..., 40:77])


def test_an_empty_batch_has_empty_logits_and_no_gradient() -> None:
    model = build()
    logits = model(torch.zeros(0, 32, dtype=torch.int64))
    assert logits.shape == (0, 32, 16)
    logits.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_too_long_a_context_names_both_numbers() -> None:
    with pytest.raises(InputError, match=r"97.*96"):
        build()(torch.zeros(1, 97, dtype=torch.int64))


@pytest.mark.parametrize("p", [0.0, 0.3])
def test_activation_checkpointing_gives_equal_gradients(p: float) -> None:
    model = build(replace(CONFIG, embed_dropout=p))
    wanted = loss_gradients(model)
    model.backbone.activation_checkpointing = True
    for name, gradient in loss_gradients(model).items():
        assert torch.equal(gradient, wanted[name]), name


class Dtypes(TorchDispatchMode):
    """Counts results of norms, transforms and matrix products by dtype."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.seen: Counter[tuple[str, torch.dtype]] = Counter()

    def __torch_dispatch__(
        self,
        operation: OpOverload,
        types: Collection[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = run_within(self, operation, args, kwargs)
        name = str(operation).split(".")[1]
        if name in ("mm", "addmm", "native_layer_norm", "fft_rfft"):
            first = next(tensor for tensor in tree_iter(result) if isinstance(tensor, Tensor))
            self.seen["product" if name.endswith("mm") else name, first.dtype] += 1
        return result


def test_autocast_keeps_norms_filters_transforms_and_logits_in_fp32_and_projects_in_bf16() -> None:
    """By layer: two streams, the first stream, out_proj, fc1 and fc2; a filter's four products; and one head."""
    model = build()
    exact = model(IDS)
    with torch.autocast("cpu", torch.bfloat16), Dtypes() as dtypes:
        logits = model(IDS)
    single, half = torch.float32, torch.bfloat16
    assert dtypes.seen == {
        ("product", half): 2 * 5,
        ("product", single): 2 * 4 + 1,
        ("native_layer_norm", single): 2 * 3 + 1,
        ("fft_rfft", torch.complex64): 2 * 2,
    }
    assert logits.dtype == single
    # bf16 has 8 bits: a few roundings of 2^-8 each along the two blocks.
    assert (logits - exact).abs().max() < 0.03 * exact.abs().max()
    weighted_nats(logits, IDS, torch.ones(IDS.shape)).backward()
    assert {(p.dtype, p.grad.dtype) for p in model.parameters() if p.grad is not None} == {(single, single)}


def test_initialisation_is_deterministic_and_as_published() -> None:
    config = ModelConfig(d_model=128, n_layer=8, l_max=64)
    torch.manual_seed(3)
    model, state = HyenaDNA(config), torch.get_rng_state()
    torch.manual_seed(3)
    again = HyenaDNA(config)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        if name.endswith(("out_proj.weight", "fc2.weight")):
            assert value.std() == pytest.approx(0.02 / 4, rel=0.05), name
        elif name.endswith(("in_proj.weight", "fc1.weight", "output.weight", "embedding.weight")):
            assert value.std() == pytest.approx(0.02, rel=0.05), name
        elif name.endswith("long_bias"):
            assert value.std() == pytest.approx(1, rel=0.3), name
        elif name.endswith(".bias"):
            assert not value.any(), name
        elif name.endswith("frequency"):
            assert (value == 10).all(), name


def test_embedding_dropout_is_off_in_evaluation_and_keyed_by_sample_in_training() -> None:
    model = build(replace(CONFIG, embed_dropout=0.5))
    plain = build()(IDS)
    assert torch.equal(model.eval()(IDS), plain)
    model.train()
    model.embed_dropout.set_position(seed=4, samples=torch.tensor([10, 20]))
    both = model(IDS)
    assert (both - plain).abs().max() > 1e-3
    model.embed_dropout.set_position(seed=4, samples=torch.tensor([20]))
    torch.testing.assert_close(model(IDS[1:]), both[1:], rtol=0, atol=1e-5)


def test_weighted_nats_agree_with_float64() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(2, 50, 16, generator=generator)
    targets = torch.randint(0, 16, (2, 50), generator=generator)
    weights = torch.rand(2, 50, generator=generator)
    targets[0, :20] = IGNORE
    wanted = 0.0
    for b, t in [(b, t) for b in range(2) for t in range(50) if targets[b, t] != IGNORE]:
        row = logits[b, t].double()
        wanted += float(weights[b, t].double() * (row.exp().sum().log() - row[targets[b, t]]))
    got = weighted_nats(logits, targets, weights)
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(wanted, rel=1e-6)
    assert float(weighted_nats(logits, torch.full_like(targets, IGNORE), weights)) == 0


@pytest.mark.parametrize("tile", [1024, 1023])
def test_flops_of_matrix_products_are_those_torch_counts(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter of torch sees matrix products as they run; the other parts are added by their stated formula.

    Counted, but no model FLOPs: where a tile does not hold all, the layers' forward products but those of out_proj and
    fc2, and the head's, run twice.
    """
    monkeypatch.setattr(tiled, "CPU_TILE", tile)
    config = ModelConfig(d_model=64, n_layer=2, l_max=512, embed_dropout=0.0)
    model, ids = HyenaDNA(config), torch.zeros(2, 512, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        weighted_nats(model(ids), ids, torch.ones(ids.shape)).backward()
    counted = counter.get_flop_counts()["Global"]
    products = sum(flops for op, flops in counted.items() if op in (torch.ops.aten.mm, torch.ops.aten.addmm))
    if tile < ids.numel():
        products -= 2 * ids.numel() * 2 * 64**2 * (3 + 4) + 2 * ids.numel() * 64 * 16
    fft = (5 + 3 / 2) * 2.5 * 2 * math.log2(1024) + 3 * 6  # per channel, with N = 1024 = 2L
    taps_and_gates = 6 * 3 * 3 + 3 * 2  # per channel: three taps of three streams, two gates
    wanted = products / ids.numel() + 2 * 64 * (fft + taps_and_gates)
    # The filter's first layer has no gradient of its input: one part in a thousand.
    assert train_flops_per_token(config, 512, micro_batch_size=2) == pytest.approx(wanted, rel=0.003)


def test_flops_grow_with_the_logarithm_of_the_context_and_fall_with_the_micro_batch() -> None:
    config = ModelConfig(d_model=256, n_layer=8, l_max=1_000_002)
    short, long = (train_flops_per_token(config, length, micro_batch_size=10**6) for length in (1024, 2**20))
    # Ten doublings: each of five transforms of 2L points gains 2.5 * 2 per position and doubling.
    assert long - short == pytest.approx(8 * 256 * 5 * 2.5 * 2 * 10, rel=1e-3)
    assert train_flops_per_token(config, 1024) > short

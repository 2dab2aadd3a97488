"""The numerics card: how far results are from fp64."""

import torch

from hdna.benchmark.numerics import numerics
from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA

CONFIG = ModelConfig(d_model=16, n_layer=2, l_max=96, filter_order=8)


def test_fp32_is_within_its_rounding_of_fp64_and_bf16_within_its_own() -> None:
    """fp32 has 24 bits, bf16 8: some thousand terms lose a few of them, and bf16 is much further away."""
    torch.manual_seed(0)
    cards = {card.name: card for card in numerics(CONFIG, HyenaDNA(CONFIG).state_dict(), 90)}
    single, recomputed, half = (cards[f"cpu, {way}"] for way in ("fp32", "fp32, activation checkpointing", "bf16"))
    for card in (single, recomputed):
        assert 0 < card.logits_error < 1e-5 and 0 < card.gradient_error < 1e-5 and abs(card.bits_error) < 1e-6
    assert 1e-4 < half.logits_error < 0.05 and 1e-4 < half.gradient_error < 0.1
    # A model that has learned nothing guesses one of sixteen, give or take what its small weights say.
    assert all(3.5 < card.bits_per_base < 4.5 for card in cards.values())

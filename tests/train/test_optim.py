"""The learning rate and the parameter groups, against closed forms and the paper's rule."""

import math
from itertools import pairwise

import pytest

from hdna.config import ModelConfig, OptimConfig
from hdna.model import HyenaDNA
from hdna.train.optim import learning_rate, parameter_groups

OPTIM = OptimConfig(learning_rate=6e-4, warmup_fraction=0.1, global_batch_tokens=100)
TOTAL = 100_000


def test_the_learning_rate_warms_up_peaks_and_ends_at_a_tenth() -> None:
    rates = [learning_rate(OPTIM, tokens, TOTAL) for tokens in range(0, TOTAL, 100)]
    assert 0 < rates[0] < 0.02 * OPTIM.learning_rate
    assert rates.index(max(rates)) == 100
    assert max(rates) == pytest.approx(OPTIM.learning_rate)
    assert all(a < b for a, b in pairwise(rates[:101]))
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert learning_rate(OPTIM, TOTAL, TOTAL) == pytest.approx(0.1 * OPTIM.learning_rate)
    halfway = learning_rate(OPTIM, 55_000, TOTAL)
    assert halfway == pytest.approx(OPTIM.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 2))))


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert learning_rate(OptimConfig(learning_rate=1.0, warmup_fraction=0), 0, TOTAL) == 1.0


def test_weight_decay_reaches_projections_short_convolution_and_mlp_alone() -> None:
    """Paper, table A.1 and its code: 0.1, and 0 on filters, norms, biases and embedding."""
    model = HyenaDNA(ModelConfig(d_model=8, n_layer=2, l_max=16))
    decayed, plain = parameter_groups(model.named_parameters(), OptimConfig(weight_decay=0.1))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    of = [{names[id(parameter)] for parameter in group["params"]} for group in (decayed, plain)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert of[0] | of[1] == set(names.values())
    assert not of[0] & of[1]
    assert len(of[0]) == 2 * 5
    assert not any("filter" in name or "norm" in name or "bias" in name or "embedding" in name for name in of[0])
    assert all(parameter.ndim == 2 for parameter in decayed["params"])

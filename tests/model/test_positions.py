"""Where a filter of an extended context is read, against the map in plain fractions and the closed form in fp64."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA
from hdna.model.positions import filter_features, places

SHORT = ModelConfig(d_model=8, n_layer=2, l_max=96, filter_order=8, embed_dropout=0.0)
IDS = torch.randint(7, 11, (2, 96), generator=torch.Generator().manual_seed(0))
contexts = st.lists(st.integers(4, 400), min_size=1, max_size=4, unique=True).map(sorted)


def squeezed_once(position: Fraction, shorter: int, longer: int) -> Fraction:
    """On a line through (half, half) and (longer - 1, shorter - 1), beyond half."""
    half = shorter // 2
    return position if position <= half else half + (position - half) * Fraction(shorter - 1 - half, longer - 1 - half)


@given(contexts, st.integers(401, 900))
def test_squeezed_positions_are_those_of_the_map_one_extension_after_another(before: list[int], l_max: int) -> None:
    found = places(replace(SHORT, l_max=l_max, extended_from=before))
    for position in {0, 1, before[0] // 2, before[0] // 2 + 1, before[-1] - 1, l_max // 2, l_max - 1}:
        place, longer = Fraction(position), l_max
        for shorter in reversed(before):
            place, longer = squeezed_once(place, shorter, longer), shorter
        assert float(found[position]) == pytest.approx(float(place), abs=1e-9)
    assert (found.diff() > 0).all()
    assert float(found[-1]) == pytest.approx(before[0] - 1, abs=1e-9)  # the end of what was trained, and no further


def test_a_second_extension_leaves_the_first_half_of_the_context_before_it() -> None:
    once = places(replace(SHORT, l_max=400, extended_from=[96]))
    twice = places(replace(SHORT, l_max=1600, extended_from=[96, 400]))
    assert torch.equal(twice[:200], once[:200])
    assert (twice[201:400] < once[201:]).all()


@pytest.mark.parametrize("how", ["squeezed", "absolute", "rescaled"])
def test_features_are_the_closed_form_at_these_places(how: str) -> None:
    """In fp64; fp32's angles at the end of four turns are off by 1e-6 or so."""
    config = ModelConfig(l_max=400, extended_from=[96], filter_positions=how)  # type: ignore[arg-type]
    place, span = (torch.arange(400.0), 400) if how == "rescaled" else (places(config), 96)
    place = place.double()[:, None]
    angles = torch.tensor([1e-4, 1.0]) * 2 * math.pi * place / span
    expected = torch.cat((place / (span - 1), angles.cos(), -angles.sin()), 1)
    torch.testing.assert_close(filter_features(config).double(), expected, atol=5e-6, rtol=0)
    if how == "absolute":
        assert torch.equal(place[:, 0], torch.arange(400).double())


@pytest.mark.parametrize(("how", "length"), [("absolute", 96), ("squeezed", 48)])
def test_a_longer_context_leaves_the_shorter_one_as_it_was(how: str, length: int) -> None:
    """All of it, or the first half: to fp32's rounding of a position."""
    torch.manual_seed(1)
    short = HyenaDNA(SHORT)
    for parameter in short.parameters():  # so that the convolutions count
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    long = HyenaDNA(replace(SHORT, l_max=400, extended_from=[96], filter_positions=how))  # type: ignore[arg-type]
    long.load_state_dict(short.state_dict())
    torch.testing.assert_close(long(IDS[:, :length]), short(IDS[:, :length]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(long(IDS), short(IDS), atol=1e-4) or how == "absolute"

"""Sequence parallelism on real ranks joined by gloo; the assertions are in tests/support/sequence_checks.py."""

from collections.abc import Callable

import pytest
from support import sequence_checks
from support.ranks import run_ranks

from hdna.errors import InputError
from hdna.parallel import Mesh
from hdna.parallel.all_to_all import MAX_GROUPS, group_count
from hdna.parallel.exchange import channel_splits


@pytest.mark.ranks
@pytest.mark.parametrize("world_size", [2, 3, 4, 6])
def test_both_strategies_are_the_convolution_of_the_whole(world_size: int) -> None:
    run_ranks(world_size, sequence_checks.convolutions)


@pytest.mark.ranks
@pytest.mark.parametrize("check", [sequence_checks.bits, sequence_checks.bf16], ids=["bits", "bf16"])
def test_filters_ride_along_with_half_precision(check: Callable[[], None]) -> None:
    run_ranks(3, check)


@pytest.mark.ranks
def test_recomputation_never_crosses_a_collective() -> None:
    run_ranks(3, sequence_checks.recomputation)


@pytest.mark.ranks
@pytest.mark.parametrize("world_size", [2, 4])
def test_what_is_kept_for_the_backward_pass_shrinks_with_the_ranks(world_size: int) -> None:
    run_ranks(world_size, sequence_checks.saved)


@pytest.mark.parametrize("channels", [1, 5, 8, 127])
@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
@pytest.mark.parametrize("groups", [1, 3, 8])
def test_no_channel_is_left_over_and_shares_differ_by_one_at_most(channels: int, ranks: int, groups: int) -> None:
    shares = channel_splits(channels, ranks, groups)
    dealt = sorted(channel for share in shares for part in share for channel in range(part.start, part.stop))
    assert dealt == list(range(channels))
    sizes = [sum(share[rank].stop - share[rank].start for share in shares) for rank in range(ranks)]
    assert max(sizes) - min(sizes) <= 1


def test_groups_are_neither_too_small_nor_too_many() -> None:
    assert group_count(2**20, 64) == 1
    assert group_count(2**30, 64) == MAX_GROUPS
    assert group_count(2**30, 3) == 3
    assert group_count(2**30, 0) == 1


def test_a_sample_that_ranks_cannot_share_is_refused_with_the_nearest_lengths() -> None:
    with pytest.raises(InputError, match=r"context_length=100 cannot be cut into 3 .* are 99 and 102"):
        Mesh(0, 3, 3).slice_of(100)


def test_a_degree_above_the_number_of_ranks_is_refused() -> None:
    with pytest.raises(InputError, match=r"sequence_parallel=2: want 1 to 1"):
        Mesh.of_this_process(2)


def test_ranks_that_form_no_group_are_idle() -> None:
    assert [Mesh(rank, 7, 3).is_idle for rank in range(7)] == [False] * 6 + [True]
    assert not any(Mesh(rank, 7).is_idle for rank in range(7))

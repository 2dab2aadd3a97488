"""What ranks send and keep, in closed form, against what real ranks were seen to send and keep."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from support.ranks import run_ranks
from support.traffic_counts import LAYERS, Case, Counts, count_cases, counts_of

from hdna.model.memory import MicroStepShape, saved_bytes
from hdna.ops import tiled
from hdna.parallel import all_to_all, distributed_fft
from hdna.parallel.traffic import Slice, busiest, layer

pytestmark = pytest.mark.ranks

EXCHANGES = ("all_to_all", "distributed_fft")


class Seen(NamedTuple):
    """One case, and what each of its ranks was seen to do."""

    case: Case
    ranks: int
    by_rank: tuple[Counts, ...]


def counted(ranks: int, cases: Sequence[Case], folder: Path) -> list[Seen]:
    """Run the cases on that many processes joined by gloo."""
    run_ranks(ranks, count_cases, cases=cases, folder=folder)
    by_case = zip(*(counts_of(rank, folder) for rank in range(ranks)), strict=True)
    return [Seen(case, ranks, counts) for case, counts in zip(cases, by_case, strict=True)]


def part(case: Case, ranks: int) -> Slice:
    return Slice(case.batch, case.d_model, case.length, ranks, 2 if case.bf16 else 4, case.order)


def set_sizes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_to_all, "MIN_MESSAGE_BYTES", case.min_message_bytes)
    monkeypatch.setattr(distributed_fft, "WORKING_BYTES", case.working_bytes)
    monkeypatch.setattr(tiled, "CPU_TILE", case.tile)


def variants(ranks: int) -> list[Case]:
    """Every difference that the formulas know, for both strategies."""
    cases = [
        Case(),
        Case(bf16=True),
        Case(accumulation=3),
        Case(bf16=True, accumulation=3, batch=1),
        Case(order=3),
        Case(order=3, bf16=True, recompute=True),
        Case(d_model=13, bf16=True, accumulation=2),
        Case(d_model=ranks - 1),
        Case(length=65, bf16=True),
        Case(tile=1024),
        Case(tile=1024, bf16=True, accumulation=3, order=3),
        Case(tile=1024, bf16=True, recompute=True),
        Case(min_message_bytes=1024, working_bytes=4096),
        Case(min_message_bytes=512, working_bytes=1, d_model=13, order=3, bf16=True),
    ]
    return [replace(case, long_conv=kind) for kind in EXCHANGES for case in cases]


def few_variants() -> list[Case]:
    """On 4 ranks, where they take longest: one that is simple, and one with every difference."""
    cases = [
        Case(),
        Case(d_model=13, order=3, bf16=True, accumulation=2, recompute=True, min_message_bytes=512, working_bytes=1),
    ]
    return [replace(case, long_conv=kind) for kind in EXCHANGES for case in cases]


def sharing() -> list[Case]:
    """What a rank keeps: any two settings meet."""
    return [
        Case(kind, d_model=13, order=order, bf16=bf16, accumulation=steps, recompute=recompute)
        for kind, bf16 in itertools.product(EXCHANGES, (False, True))
        for steps, order, recompute in ((1, 2, bf16), (1, 3, not bf16), (2, 2, not bf16), (3, 3, bf16))
    ]


def whole_and_sliced(ranks: int) -> list[Case]:
    """A longer sample on one rank, then shared."""
    slices = [Case(kind, length=512, bf16=True) for kind in EXCHANGES]
    return [Case(length=512 * ranks, bf16=True, alone=True), *slices]


@pytest.fixture(scope="module", params=[2, 3, 4])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """The cases on 2, 3 and 4 ranks; one start of the ranks for all of them."""
    ranks = request.param
    cases = variants(ranks) if ranks < 4 else few_variants()
    more = sharing() if ranks == 3 else []
    return counted(ranks, [*cases, *whole_and_sliced(ranks), *more], tmp_path_factory.mktemp("ranks"))


def test_bytes_and_collectives_are_those_really_sent(seen: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    for case, ranks, by_rank in seen:
        if case.alone:
            continue
        set_sizes(case, monkeypatch)
        for rank, found in enumerate(by_rank):
            predicted = layer(case.long_conv, part(case, ranks), rank, case.accumulation)
            assert (predicted.bytes_sent * LAYERS, predicted.collectives * LAYERS) == (found.sent, found.calls), case
        most = busiest(case.long_conv, part(case, ranks), case.accumulation)
        assert most.bytes_sent * LAYERS == max(found.sent for found in by_rank)


def test_all_to_all_sends_no_more_than_its_law_allows(seen: list[Seen]) -> None:
    """Of each long convolution: (4 s + 8 / B) B D S (P - 1) / P bytes, filters and their gradients included."""
    shared = [s for s in seen if s.case.long_conv == "all_to_all" and not s.case.alone]
    divided = [s for s in shared if s.case.accumulation == 1 and s.case.d_model % s.ranks == 0]
    assert len(divided) >= 2
    for case, ranks, by_rank in divided:
        b, s, d, size = case.batch, case.length, case.d_model, 2 if case.bf16 else 4
        convolutions = case.order - 1
        groups = max(1, min(8, b * d * s * size // case.min_message_bytes, d // ranks))
        halo = 2 * b * (convolutions + 2) * d * 2 * size
        exchanged = (4 * size + 8 / b) * b * d * s * (ranks - 1) / ranks * convolutions
        for found in by_rank:
            assert found.sent / LAYERS <= exchanged + halo
            assert found.calls / LAYERS <= (2 + 2) * groups * convolutions + 1 + 1


@pytest.mark.parametrize("long_conv", EXCHANGES)
def test_nothing_is_sent_where_samples_are_not_shared(long_conv: str) -> None:
    alone = layer(long_conv, Slice(batch=2, channels=12, length=64, ranks=1, element_size=4), 0)
    assert (alone.bytes_sent, alone.collectives) == (0, 0)


def shape(case: Case, ranks: int, rank: int) -> MicroStepShape:
    d, whole = case.d_model, case.length * ranks
    mine = d * (rank + 1) // ranks - d * rank // ranks
    return MicroStepShape(
        batch=case.batch,
        length=case.length,
        bf16=case.bf16,
        dealt=mine * whole if case.long_conv == "all_to_all" and not case.alone else None,
        shared=not case.alone,
        accumulates=case.accumulation > 1,
        on_cpu=True,
    )


def test_saved_bytes_of_a_slice_are_those_really_alive(seen: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte: nothing is left to the allocator in a count of tensors."""
    for case, ranks, by_rank in seen:
        set_sizes(case, monkeypatch)
        for rank, found in enumerate(by_rank):
            predicted = saved_bytes(case.model, shape(case, ranks, rank), case.recompute)
            assert predicted == found.live, (case, rank, predicted - found.live)


def test_a_rank_keeps_its_share_of_what_a_whole_sample_takes(seen: list[Seen]) -> None:
    """At most 1.15 / P: slices are equal, channels here too; halos and weight copies come on top."""
    (alone,) = [s for s in seen if s.case.alone]
    slices = [s for s in seen if s.case.length == 512 and not s.case.alone]
    assert len(slices) == len(EXCHANGES)
    for _, ranks, by_rank in slices:
        assert max(found.live for found in by_rank) <= 1.15 / ranks * alone.by_rank[0].live

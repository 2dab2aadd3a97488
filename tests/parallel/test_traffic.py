"""What ranks send and keep, in closed form, against what real ranks were seen to send and keep."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.ranks import run_ranks
from support.traffic_counts import count_cases

from hdna.config import ModelConfig
from hdna.model.memory import MicroStepShape, saved_bytes
from hdna.parallel import all_to_all, distributed_fft
from hdna.parallel.traffic import Slice, busiest, layer

pytestmark = pytest.mark.ranks

LAYERS = 2

EXCHANGES = ("all_to_all", "distributed_fft")


class Seen(NamedTuple):
    """One case, and what each of its ranks was seen to do."""

    case: dict[str, Any]
    ranks: int
    by_rank: list[dict[str, int]]


def case(**changes: Any) -> dict[str, Any]:
    """A slice of 64 positions of 2 samples, 12 channels, unless said otherwise."""
    model = {"d_model": 12, "n_layer": LAYERS, "order": 2, "l_max": 4096, "filter_order": 8, "embed_dropout": 0.0}
    model |= changes.pop("model", {})
    plain = {"batch": 2, "length": 64, "bf16": False, "accumulation": 1, "recompute": False, "alone": False}
    sizes = {"min_message_bytes": 4 * 2**20, "working_bytes": 32 * 2**20, "long_conv": "all_to_all"}
    return {**plain, **sizes, **changes, "model": model}


def counted(ranks: int, cases: list[dict[str, Any]], folder: Path) -> list[Seen]:
    """Run the cases on that many processes joined by gloo."""
    run_ranks(ranks, count_cases, cases=cases, folder=folder)
    by_rank = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(ranks)]
    return [Seen(case, ranks, list(seen)) for case, seen in zip(cases, zip(*by_rank, strict=True), strict=True)]


def part(case: dict[str, Any], ranks: int) -> Slice:
    model, size = case["model"], 2 if case["bf16"] else 4
    return Slice(case["batch"], model["d_model"], case["length"], ranks, size, model["order"])


def set_sizes(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_to_all, "MIN_MESSAGE_BYTES", case["min_message_bytes"])
    monkeypatch.setattr(distributed_fft, "WORKING_BYTES", case["working_bytes"])


def variants(ranks: int) -> list[dict[str, Any]]:
    """Every difference that the formulas know, for both strategies."""
    differences: list[dict[str, Any]] = [
        {},
        {"bf16": True},
        {"accumulation": 3},
        {"bf16": True, "accumulation": 3, "batch": 1},
        {"model": {"order": 3}},
        {"model": {"order": 3}, "bf16": True, "recompute": True},
        {"model": {"d_model": 13}, "bf16": True, "accumulation": 2},
        {"model": {"d_model": ranks - 1}},
        {"length": 65, "bf16": True},
        {"min_message_bytes": 1024, "working_bytes": 4096},
        {"min_message_bytes": 512, "working_bytes": 1, "model": {"d_model": 13, "order": 3}, "bf16": True},
    ]
    return [case(long_conv=kind, **d) for kind in EXCHANGES for d in differences]


def sharing() -> list[dict[str, Any]]:
    """What a rank keeps, in all combinations."""
    return [
        case(long_conv=kind, bf16=bf16, recompute=recompute, accumulation=steps, model={"order": order, "d_model": 13})
        for kind, bf16, recompute in itertools.product(EXCHANGES, (False, True), (False, True))
        for steps, order in ((1, 2), (1, 3), (2, 2), (3, 3))
    ]


def whole_and_sliced(ranks: int) -> list[dict[str, Any]]:
    """A longer sample on one rank, then shared."""
    slices = [case(long_conv=kind, length=512, bf16=True) for kind in EXCHANGES]
    return [case(length=512 * ranks, bf16=True, alone=True), *slices]


@pytest.fixture(scope="module", params=[2, 3, 4])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """Every case on 2, 3 and 4 ranks; one start of the ranks for all of them."""
    ranks = request.param
    cases = [*variants(ranks), *whole_and_sliced(ranks), *(sharing() if ranks == 3 else [])]
    return counted(ranks, cases, tmp_path_factory.mktemp("ranks"))


def test_bytes_and_collectives_are_those_really_sent(seen, monkeypatch):
    for spec, ranks, by_rank in seen:
        if spec["alone"]:
            continue
        set_sizes(spec, monkeypatch)
        for rank, found in enumerate(by_rank):
            said = layer(spec["long_conv"], part(spec, ranks), rank, spec["accumulation"])
            assert (said.bytes_sent * LAYERS, said.collectives * LAYERS) == (found["sent"], found["calls"]), spec
        most = busiest(spec["long_conv"], part(spec, ranks), spec["accumulation"])
        assert most.bytes_sent * LAYERS == max(found["sent"] for found in by_rank)


def test_all_to_all_sends_no_more_than_its_law_allows(seen):
    """Of each long convolution: (4 s + 8 / B) B D S (P - 1) / P bytes, filters and their gradients included."""
    single = [s for s in seen if s.case["long_conv"] == "all_to_all" and s.case["accumulation"] == 1]
    divided = [s for s in single if s.case["model"]["d_model"] % s.ranks == 0]
    assert len(divided) >= 5
    for spec, ranks, by_rank in divided:
        b, s, d, size = spec["batch"], spec["length"], spec["model"]["d_model"], 2 if spec["bf16"] else 4
        convolutions = spec["model"]["order"] - 1
        groups = max(1, min(8, b * d * s * size // spec["min_message_bytes"], d // ranks))
        halo = 2 * b * (convolutions + 2) * d * 2 * size
        exchanged = (4 * size + 8 / b) * b * d * s * (ranks - 1) / ranks * convolutions
        for found in by_rank:
            assert found["sent"] / LAYERS <= exchanged + halo
            assert found["calls"] / LAYERS <= (2 + 2) * groups * convolutions + 1 + 1


@pytest.mark.parametrize("long_conv", EXCHANGES)
def test_nothing_is_sent_where_samples_are_not_shared(long_conv):
    alone = layer(long_conv, Slice(batch=2, channels=12, length=64, ranks=1, element_size=4), 0)
    assert (alone.bytes_sent, alone.collectives) == (0, 0)


def shape(spec: dict[str, Any], ranks: int, rank: int) -> MicroStepShape:
    d, whole = spec["model"]["d_model"], spec["length"] * ranks
    mine = d * (rank + 1) // ranks - d * rank // ranks
    return MicroStepShape(
        batch=spec["batch"],
        length=spec["length"],
        bf16=spec["bf16"],
        dealt=mine * whole if spec["long_conv"] == "all_to_all" and not spec["alone"] else None,
        shared=not spec["alone"],
        accumulates=spec["accumulation"] > 1,
    )


def test_saved_bytes_of_a_slice_are_those_really_alive(seen):
    """To the byte: nothing is left to the allocator in a count of tensors."""
    for spec, ranks, by_rank in seen:
        for rank, found in enumerate(by_rank):
            said = saved_bytes(ModelConfig(**spec["model"]), shape(spec, ranks, rank), spec["recompute"])
            assert said == found["live"], (spec, rank, said - found["live"])


def test_a_rank_keeps_its_share_of_what_a_whole_sample_takes(seen):
    """At most 1.15 / P: slices are equal, channels here too; halos and weight copies are what is on top."""
    (alone,) = [s for s in seen if s.case["alone"]]
    slices = [s for s in seen if s.case["length"] == 512 and not s.case["alone"]]
    assert len(slices) == len(EXCHANGES)
    for _, ranks, by_rank in slices:
        assert max(found["live"] for found in by_rank) <= 1.15 / ranks * alone.by_rank[0]["live"]

"""Order law: the sequence of global batches is a pure function of (recipe, seed, manifest)."""

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hdna import storage
from hdna.config import DataConfig, Stage, load_recipe
from hdna.data import order as order_module
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator
from hdna.data.curriculum import Curriculum
from hdna.data.order import MIXTURE_PERIOD, SHARDS_TOGETHER, Crop, Crops, DataOrder, WindowTable, window_table
from hdna.data.stream import Rows, WindowReader, prefetched
from hdna.errors import InputError
from hdna.genome.hashing import hash64
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna_prep import shards

FIRST = [
    (2, 399, "-"),
    (1, 1555, "-"),
    (0, 2921, "+"),
    (2, 0, "-"),
]
EIGHTH = [
    (0, 2897, "-"),
    (0, 1873, "+"),
    (3, 1024, "+"),
    (2, 1869, "-"),
]
OF_TWENTY_SHARDS = [
    (49, 70, "+"),
    (50, 180, "+"),
    (32, 36, "+"),
    (20, 101, "+"),
]


def table(*bases: int, per_shard: int = 3) -> WindowTable:
    return WindowTable(np.array(bases), np.arange(len(bases)) // per_shard)


def one_stage(context: int, samples: int, steps: int = 10_000) -> Curriculum:
    return Curriculum([Stage(context, context * samples * steps)], context * samples)


def take(order: DataOrder, crops: int) -> list[Crop]:
    return list(itertools.islice((crop for step in itertools.count() for crop in order.batch(step)), crops))


def test_the_first_batches_are_what_they_have_always_been() -> None:
    """Pins the order across versions of Python, numpy and hdna: a changed order breaks every run that resumes."""
    order = DataOrder([table(5000, 3000, 4097, 2049)], one_stage(1024, 4), seed=2222)
    assert order.batch(0) == FIRST
    assert order.batch(7) == EIGHTH
    many = DataOrder([table(*[300] * 60)], one_stage(64, 4), seed=2222)
    assert many.batch(29) == OF_TWENTY_SHARDS


def test_another_process_gives_the_same_batches() -> None:
    code = (
        "import numpy as np; from hdna.config import Stage; from hdna.data.curriculum import Curriculum;"
        "from hdna.data.order import DataOrder, WindowTable;"
        "o = DataOrder([WindowTable(np.array([5000, 3000, 4097, 2049]), np.arange(4) // 3)],"
        "Curriculum([Stage(1024, 10**9)], 4096), 2222); print([tuple(c) for c in o.batch(123)])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    order = DataOrder([table(5000, 3000, 4097, 2049)], one_stage(1024, 4), seed=2222)
    assert out.strip() == str([tuple(crop) for crop in order.batch(123)])


def test_a_batch_depends_on_nothing_that_was_asked_before() -> None:
    windows = [table(*range(2000, 9000, 500)), table(*[4097] * 7)]
    asked = DataOrder(windows, one_stage(512, 8), 1, weights=[2, 1])
    in_order = [asked.batch(step) for step in range(40)]
    for step in (39, 0, 17, 18, 3):
        assert DataOrder(windows, one_stage(512, 8), 1, weights=[2, 1]).batch(step) == in_order[step]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 3000), min_size=1, max_size=30),
    st.integers(1, 700),
    st.integers(0, 2**63 - 1),
    st.integers(1, 5),
)
def test_an_epoch_holds_every_crop_once_and_inside_its_window(
    bases: list[int], context: int, seed: int, per_shard: int
) -> None:
    windows = table(*bases, per_shard=per_shard)
    expected = {window: (length - 1) // context for window, length in enumerate(bases) if length > context}
    if not expected:
        with pytest.raises(InputError, match=f"needs windows of {context + 1} bases"):
            DataOrder([windows], one_stage(context, 1), seed)
        return
    order = DataOrder([windows], one_stage(context, 1, steps=2000), seed)
    epoch = order.crops_per_epoch(0, context)
    crops = take(order, min(2 * epoch, 2000))
    for first in range(0, len(crops) - epoch + 1, epoch):
        for crop in crops[first : first + epoch]:
            assert 0 <= crop.offset <= bases[crop.window] - context - 1
        assert Counter(crop.window for crop in crops[first : first + epoch]) == expected


@pytest.mark.parametrize(("bases", "context"), [(4097, 1024), (4097, 2048), (4097, 4096), (5000, 1024), (2050, 2048)])
def test_over_epochs_every_base_is_predicted_whatever_the_context(bases: int, context: int) -> None:
    order = DataOrder([table(bases)], one_stage(context, 1), seed=3)
    predicted = np.zeros(bases, dtype=bool)
    for crop in take(order, 60 * order.crops_per_epoch(0, context)):
        predicted[crop.offset + 1 : crop.offset + context + 1] = True
    assert predicted[1:].all()  # nothing can predict a window's first base


def test_crops_of_one_window_begin_at_many_different_bases() -> None:
    order = DataOrder([table(4097)], one_stage(1024, 1), seed=3)
    assert len({crop.offset % 1024 for crop in take(order, 400)}) > 50


def test_strands_are_even_and_can_be_switched_off() -> None:
    windows = table(*[4097] * 50)
    strands = [crop.strand for crop in take(DataOrder([windows], one_stage(512, 8), 9), 4000)]
    assert abs(strands.count("-") - 2000) < 4 * np.sqrt(1000)  # four standard deviations of a fair coin
    one_strand = DataOrder([windows], one_stage(512, 8), 9, reverse_complement=False)
    assert {crop.strand for crop in take(one_strand, 500)} == {"+"}


def test_seeds_stages_and_epochs_read_in_different_orders() -> None:
    windows = table(*[2049] * 40)
    curriculum = Curriculum([Stage(512, 512 * 160), Stage(512, 512 * 320)], 512 * 8)
    first, second = DataOrder([windows], curriculum, 1), DataOrder([windows], curriculum, 2)
    stage_0 = [c for step in range(20) for c in first.batch(step)]
    stage_1 = [c for step in range(20, 40) for c in first.batch(step)]
    other_seed = [c for step in range(20) for c in second.batch(step)]
    assert [c.window for c in stage_0] != [c.window for c in stage_1]
    assert [c.window for c in stage_0] != [c.window for c in other_seed]
    assert sorted(c.window for c in stage_0) == sorted(c.window for c in stage_1)


def test_each_context_of_a_stage_reads_its_own_epochs() -> None:
    windows = table(*[2049] * 12)
    stage = Stage(1024, 10**9, shorter_contexts=[256], context_weights=[1, 3])
    order = DataOrder([windows], Curriculum([Stage(512, 1024 * 30), stage], 1024), 4)
    crops: dict[int, list[Crop]] = {1024: [], 256: []}
    for step in range(30, 30 + 192):
        crops[order.curriculum.stage(step).context_length] += order.batch(step)
    assert (len(crops[1024]), len(crops[256])) == (
        48,
        144 * 4,
    )  # a quarter of the steps, of one crop; the rest, of four
    for context, per_window in ((1024, 2), (256, 8)):
        epoch = 12 * per_window
        for first in range(0, len(crops[context]), epoch):
            windows_read = Counter(crop.window for crop in crops[context][first : first + epoch])
            assert windows_read == dict.fromkeys(range(12), per_window)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=4), st.integers(0, 1000))
def test_a_mixture_has_its_weights_in_every_period_and_each_set_its_own_epochs(weights: list[float], seed: int) -> None:
    tables = [table(*[1025] * (20 + 7 * number)) for number in range(len(weights))]
    order = DataOrder(tables, one_stage(256, 64), seed, weights=weights)
    crops = take(order, 2 * MIXTURE_PERIOD)
    borders = np.cumsum([len(t) for t in tables])
    for first in (0, MIXTURE_PERIOD):
        sets = np.searchsorted(borders, [c.window for c in crops[first : first + MIXTURE_PERIOD]], side="right")
        share = np.bincount(sets, minlength=len(weights)) / MIXTURE_PERIOD
        assert np.abs(share - np.array(weights) / sum(weights)).max() < 1 / MIXTURE_PERIOD


def test_a_set_of_a_mixture_is_read_epoch_by_epoch() -> None:
    tables = [table(*[1025] * 10), table(*[1025] * 25)]
    order = DataOrder(tables, one_stage(256, 64), 1, weights=[3, 1])
    crops = [crop.window for crop in take(order, 2000) if crop.window < 10]
    for first in range(0, 400, 40):
        assert sorted(crops[first : first + 40]) == sorted([*range(10)] * 4)


def test_without_weights_a_mixture_is_by_bases() -> None:
    order = DataOrder([table(*[1025] * 30), table(*[1025] * 10)], one_stage(256, 64), 1)
    crops = take(order, MIXTURE_PERIOD)
    assert sum(c.window < 30 for c in crops) == MIXTURE_PERIOD * 3 // 4


def test_ranks_and_accumulation_only_deal_the_batch_out(tiny_recipe: Path) -> None:
    """Whatever the data ranks, sequence ranks and micro-batch, a step's samples are the same, each base read once."""
    config = load_recipe(str(tiny_recipe))
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    collator = Collator(windows.read_batch, config.data, 5)
    whole = None
    for data_ranks, sequence_ranks, micro in ((1, 1, 8), (1, 1, 2), (2, 1, 2), (4, 2, 1), (8, 4, 1), (1, 8, 4)):
        curriculum = Curriculum([Stage(256, 10**6, micro)], 2048)
        crops = DataOrder(windows.tables, curriculum, 5).batch(3)
        assert {crop.strand for crop in crops} == {"+", "-"}
        tensors = [torch.full((8, 256), -1.0) for _ in range(3)]
        for rank in range(data_ranks):
            for first in range(0, 256, 256 // sequence_ranks):
                span = slice(first, first + 256 // sequence_ranks)
                batch = collator.step_batch(3, curriculum.stage(3), crops, rank, data_ranks, span)
                for m in batch.micro_batches:
                    assert m.first_position == first
                    for tensor, part in zip(tensors, (m.input_ids, m.targets, m.weights), strict=True):
                        assert (tensor[m.samples, span] == -1).all()  # read for the first time
                        tensor[m.samples, span] = part.float()
        whole = whole or tensors
        assert all(torch.equal(a, b) for a, b in zip(tensors, whole, strict=True))


def test_prefetching_changes_neither_order_nor_errors() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise InputError("the sixth is bad")

    got = []
    with pytest.raises(InputError, match="sixth"):
        for item in prefetched(items(), ahead=3):
            got.append(item)
    assert got == list(range(5))


def test_a_step_in_the_middle_of_a_month_is_found_from_its_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million crops: a step far inside costs the hashes of its own few shards, as an early one does, not a walk."""
    windows = WindowTable(np.full(10_000, 2**20 + 1), np.arange(10_000) // 64)
    crops_together = SHARDS_TOGETHER * 64 * 1024
    hashed = []

    def counting(*parts: int | npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
        hashed.append(np.broadcast(*parts).size)
        return hash64(*parts)

    monkeypatch.setattr(order_module, "hash64", counting)
    for step in (1, 777_777):
        hashed.clear()
        order = DataOrder([windows], one_stage(1024, 1024, steps=10**6), seed=1)
        assert len(set(order.batch(step))) == 1024
        assert crops_together <= sum(hashed) < 1.1 * crops_together  # one group of shards; the set has 20 of them


LAYOUTS = [
    (data_ranks, sequence_ranks, micro)
    for data_ranks in (1, 2, 3, 4, 6, 12)
    for sequence_ranks in (1, 2, 3, 5, 8)
    for micro in (1, 2, 3, 4)
    if 12 % (data_ranks * micro) == 0
]
"""Ways to deal out 12 samples of 240 positions."""


def positions_as_tokens(crops: Crops, bases: int, part: slice, masked: bool) -> Rows:
    """Stands in for a reader: each token encodes where its base lies and on which strand it is read."""
    along = np.arange(part.start, part.stop)
    where = np.where(crops.reverse[:, None], bases - 1 - along, along) + crops.offset[:, None]
    return ((crops.window[:, None] * 3 + where) * 2 + crops.reverse[:, None]).astype(np.uint8), None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(LAYOUTS), min_size=8, max_size=8), st.integers(0, 2**31))
def test_a_layout_that_changes_at_any_step_changes_no_global_batch(
    layouts: list[tuple[int, int, int]], seed: int
) -> None:
    """Data ranks, sequence ranks and micro-batch drawn anew at every step, each from a process that knows only it."""
    tables = [table(*range(900, 1500, 50)), table(*[2000] * 5)]
    whole = DataOrder(tables, one_stage(240, 12), seed)
    for step, (data_ranks, sequence_ranks, micro) in enumerate(layouts):
        curriculum = Curriculum([Stage(240, 10**6, micro, sequence_ranks)], 240 * 12)
        crops = DataOrder(tables, curriculum, seed).batch(step)
        assert crops == whole.batch(step)
        expected, _ = positions_as_tokens(crops, 241, slice(0, 241), False)
        collator = Collator(positions_as_tokens, DataConfig(shards=["unused"]), seed)
        found, dealt = np.zeros((12, 241), np.uint8), np.zeros((12, 240), int)
        for rank, number in itertools.product(range(data_ranks), range(sequence_ranks)):
            span = slice(240 // sequence_ranks * number, 240 // sequence_ranks * (number + 1))
            batch = collator.step_batch(step, curriculum.stage(step), crops, rank, data_ranks, span)
            assert [len(m.samples) for m in batch.micro_batches] == [micro] * (12 // data_ranks // micro)
            for m in batch.micro_batches:
                dealt[m.samples, span] += 1
                found[m.samples, span.start : span.stop + 1] = m.tokens
        assert np.array_equal(found, expected) and (dealt == 1).all()


@pytest.mark.parametrize("context", [7, 16])
def test_some_phase_reaches_each_base_whatever_the_windows_length(
    context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All phases and both edges of windows of every remainder: each base but the first is predicted by one of them."""
    for bases in range(context + 1, 5 * context):
        predicted = np.zeros(bases, dtype=bool)
        for phase, edge in itertools.product(range(context), (0, 1)):
            drawn = {order_module._PHASE: np.array([phase], np.uint64), order_module._EDGE: np.array([edge], np.uint64)}
            monkeypatch.setattr(order_module, "hash64", drawn.__getitem__)
            numbers = np.arange((bases - 1) // context)
            for offset in order_module._offsets(np.full_like(numbers, bases), context, numbers, ()):
                assert 0 <= offset <= bases - 1 - context
                predicted[offset + 1 : offset + 1 + context] = True
        assert predicted[1:].all()


@pytest.mark.parametrize("context", [2**power for power in range(10, 21)])
def test_one_set_of_long_windows_serves_every_context(context: int) -> None:
    """Windows of 2^20 + 1 bases are reached whole within 40 epochs, at 1,024 bases and at 1,048,576.

    So are shorter ones of more than a context, but for bases near an edge, whose turn comes more seldom: the phase must
    be small. That each has one is the test above.
    """
    bases = np.array([2**20 + 1, 2**20 + 1, 2**19 + 1, 700_001, 131_073, 40_000, 2_047])
    samples = 40 * int(((bases - 1) // context).sum())
    order = DataOrder([WindowTable(bases, np.arange(len(bases)) // 3)], one_stage(context, samples, steps=1), seed=4)
    crops = order.batch(0)
    for window, length in enumerate(bases):
        begins = crops.offset[crops.window == window]
        assert len(begins) == 40 * ((length - 1) // context)
        covering = np.bincount(begins + 1, minlength=length + 1)  # first predicted base of each crop
        covering -= np.bincount(begins + 1 + context, minlength=length + 1)
        missed = np.flatnonzero(np.cumsum(covering)[1:length] == 0) + 1
        if length <= context:
            assert len(missed) == length - 1
        elif (length - 1) % context == 0:
            assert not len(missed)
        else:
            assert np.minimum(missed, length - missed).max(initial=0) < context / 8


@pytest.fixture(scope="module")
def two_forms(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, ShardSet]:
    """The same windows in many small shards, in an ordinary set and in one with an index."""
    folder, genome = tmp_path_factory.mktemp("forms"), str(tiny_set.parent / "genome.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "_SHARD_BASES", 1500)
        ordinary = shards.write_shards([genome], str(folder / "ordinary"), window=1024)
        patch.setattr(shards, "_MAX_WINDOWS_IN_MANIFEST", 0)
        return ordinary, shards.write_shards([genome], str(folder / "indexed"), window=1024)


def test_a_large_set_gives_the_crops_of_an_ordinary_one(two_forms: tuple[ShardSet, ShardSet]) -> None:
    """Of the same windows, alone and in a mixture, in each of several stages."""
    one, other = (window_table(shard_set, "train") for shard_set in two_forms)
    third = table(*[1025] * 25)
    curriculum = Curriculum(
        [Stage(length, 10**6 * (number + 1)) for number, length in enumerate((64, 100, 1024))], 6400
    )
    for weights in ([], [2.0, 1.0]):
        expected = DataOrder([one, third], curriculum, 3, weights)
        found = DataOrder([other, third], curriculum, 3, weights)
        for step in range(0, curriculum.steps, 7):
            assert found.batch(step) == expected.batch(step)
    assert np.array_equal(other.firsts, one.firsts)
    assert all(np.array_equal(other.bases_of(shard), one.bases_of(shard)) for shard in range(len(one.firsts) - 1))


def test_a_step_of_a_large_set_reads_the_index_of_its_own_shards(
    two_forms: tuple[ShardSet, ShardSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    read = storage.read

    def noted(url: str) -> bytes:
        asked.append(url)
        return read(url)

    monkeypatch.setattr(storage, "read", noted)
    many = load_shard_set(two_forms[1].url)
    order = DataOrder([window_table(many, "train")], one_stage(64, 4), seed=1)
    assert len(many.shards) > 5 * SHARDS_TOGETHER and asked == [f"{many.url}/manifest.json"]
    order.batch(7_777)
    assert len(set(asked)) == len(asked) <= 1 + SHARDS_TOGETHER

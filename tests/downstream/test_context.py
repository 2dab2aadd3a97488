"""Bits per base by context: the same bases at each, from no more than the context; what is said of them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command_line import hdna
from support.context_checks import same_as_one_process
from support.judged_models import Foretelling, known_subject, save_model
from support.ranks import run_ranks
from torch import Tensor

from hdna.config import RunConfig, load_recipe
from hdna.downstream.bootstrap import Estimate
from hdna.downstream.context import ContextQuestion, score_contexts
from hdna.downstream.context_result import context_body, verdict
from hdna.downstream.evidence import find_evidence
from hdna.downstream.held_out import open_held_out
from hdna.downstream.target_blocks import TargetBlocks, choose_blocks, context_lengths
from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.interval import Interval
from hdna.genome.set_windows import IntArray
from hdna.genome.shard_set import load_shard_set
from hdna.parallel import Mesh
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

DISTANCE = 300
ALONE = Mesh(0, 1)


@pytest.fixture(scope="module")
def config(tiny_recipe: Path) -> RunConfig:
    return load_recipe(str(tiny_recipe), ["model.d_model=8", "model.n_layer=1"])


def shard_set(folder: Path, bases: bytes) -> str:
    """Of a genome of one contig, whose store is beside it."""
    (folder / "g.fa").write_bytes(b">one\n" + bases + b"\n")
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    write_shards([str(folder / "g.zarr")], str(folder / "set"), window=2048)
    return str(folder / "set")


@pytest.fixture(scope="module")
def repeating_set(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every base of the genome is the one that was DISTANCE bases before it."""
    unit = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), size=DISTANCE).tobytes()
    return shard_set(tmp_path_factory.mktemp("repeating"), unit * 200)


@pytest.fixture(scope="module")
def mixed_set(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A genome with a short run of N every 100 bases, and of lower case every 50."""
    bases = np.random.default_rng(2).choice(np.frombuffer(b"ACGT", np.uint8), size=60_000)
    place = np.arange(len(bases))
    bases[place % 100 < 7] = ord("N")
    bases[place % 50 < 11] |= 0x20
    return shard_set(tmp_path_factory.mktemp("mixed"), bases.tobytes())


def copied(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The base DISTANCE before the next one, where the input reaches so far."""
    known = torch.zeros_like(ids, dtype=torch.bool)
    known[:, DISTANCE - 1 :] = True
    return ids.roll(DISTANCE - 1, dims=1), known


def windows_of(url: str, split: str) -> list[Interval]:
    shards = [shard for shard in load_shard_set(url).shards if shard.split == split]
    return [Interval(sample.contig, sample.start, sample.end) for shard in shards for sample in shard.samples]


def one_by_one(windows: IntArray, starts: IntArray, bases: int) -> IntArray:
    """Each base of stretches, as one number, sorted."""
    return np.sort((windows[:, None] * 10**6 + starts[:, None] + np.arange(bases)).reshape(-1))


def test_the_gain_comes_exactly_where_the_context_reaches_the_copy(config: RunConfig, repeating_set: str) -> None:
    """In closed form: of bases that are read from c - t + 1 to c bases, those with DISTANCE or more are foretold."""
    p, question = 0.97, ContextQuestion((repeating_set,), None, None, 10_000)
    scores = score_contexts(known_subject(config, Foretelling(copied, p)), question, ALONE)
    rows = context_body(scores)["contexts"]
    assert [row["context_length"] for row in rows] == [64, 128, 256, 512]
    for row in rows:
        context, stretch = row["context_length"], scores.blocks[0].stretch_bases(row["context_length"])
        foretold = min(max(context - DISTANCE + 1, 0), stretch) / stretch
        assert row["bits_per_base"] == pytest.approx(-foretold * math.log2(p) + (1 - foretold) * 2, abs=1e-6)
    assert 0 < foretold < 1  # of the longest: some of its bases are read from too few
    assert rows[2]["low"] == pytest.approx(2)


def test_bits_are_those_of_each_base_alone_from_its_crop_of_the_genome(
    config: RunConfig, mixed_set: str, tmp_path: Path
) -> None:
    """Base for base in fp64 from the genome store, with N and lower case; the same bases at every context."""
    model, question = save_model(config, tmp_path / "run"), ContextQuestion((mixed_set,), None, None, 700)
    scores = score_contexts(known_subject(config, model), question, ALONE)
    store, windows = GenomeStore.open(str(Path(mixed_set).parent / "g.zarr")), windows_of(mixed_set, scores.split)
    whole = Interval("one", 0, store.contigs["one"])
    letters, tokens = store.read_ascii(whole).decode(), torch.from_numpy(store.read(whole).astype(np.int64))
    blocks, tally = scores.blocks[0], scores.tallies[0]
    wanted = np.zeros((*tally.nats_CR2.shape, 2))
    for number, context in enumerate(blocks.contexts):
        stretch = blocks.stretch_bases(context)
        for block, (window, offset) in enumerate(zip(blocks.windows_R, blocks.offsets_R, strict=True)):
            first = windows[window].start + offset + blocks.contexts[-1] + 1 - blocks.block_bases
            for end in range(first + stretch, first + blocks.block_bases + 1, stretch):
                crop = slice(end - context - 1, end)
                ids = tokens[None, crop]
                nats = -model(ids[:, :-1])[0].double().log_softmax(-1)
                for place, letter in list(enumerate(letters[crop]))[-stretch:]:
                    if letter.upper() in "ACGT":
                        cell = wanted[number, block, int(letter.islower())]
                        cell += [float(nats[place - 1, ids[0, place]]), 1]
    np.testing.assert_allclose(tally.nats_CR2, wanted[..., 0], rtol=1e-5)
    np.testing.assert_array_equal(tally.bases_CR2, wanted[..., 1])
    assert (tally.bases_CR2 == tally.bases_CR2[:1]).all()


@pytest.mark.parametrize("longest", [16, 514, 1300, 30_000, 160_000])
@pytest.mark.parametrize("max_bases", [1, 3_000, 200_000])
def test_every_context_scores_each_base_once_from_at_least_half_of_it(longest: int, max_bases: int) -> None:
    windows = np.array([20, 400_000, 3, 150_000, 161_000])
    (blocks,) = choose_blocks([windows], longest, max_bases)
    end = blocks.contexts[-1] + 1
    starts = blocks.offsets_R + end - blocks.block_bases
    targets = one_by_one(blocks.windows_R, starts, blocks.block_bases)
    assert len(np.unique(targets)) == len(targets) <= max(max_bases, blocks.block_bases)
    for context in blocks.contexts:
        crops, _ = blocks.crops(context)
        stretch = blocks.stretch_bases(context)
        assert (crops.offset >= 0).all()
        assert (crops.offset + context + 1 <= windows[crops.window]).all()
        np.testing.assert_array_equal(one_by_one(crops.window, crops.offset + context + 1 - stretch, stretch), targets)
        assert context - stretch + 1 >= context / 2


def test_contexts_double_up_to_the_longest() -> None:
    assert context_lengths(32_770) == (1024, 2048, 4096, 8192, 16_384, 32_768)
    assert context_lengths(450_000) == (*(1024 << i for i in range(9)), 450_000)
    assert context_lengths(514) == (64, 128, 256, 512)


def test_a_context_that_few_windows_have_gives_way_to_a_shorter_one() -> None:
    few = choose_blocks([np.array([9_000, *[5_000] * 20])], 65_536, 10**6)
    assert few[0].contexts[-1] == 4096
    with pytest.raises(InputError, match="too short: want 16"):
        choose_blocks([np.array([9, 9])], 1024, 1000)


@pytest.mark.ranks
def test_ranks_that_share_samples_find_the_same(config: RunConfig, mixed_set: str, tmp_path: Path) -> None:
    save_model(config, tmp_path / "run")
    run_ranks(5, same_as_one_process, str(tmp_path / "run"), ContextQuestion((mixed_set,), None, None, 4_000))


def test_the_command_leaves_evidence_a_plot_and_a_verdict(
    config: RunConfig, repeating_set: str, tmp_path: Path
) -> None:
    save_model(config, tmp_path / "run")
    sets = ["--shards", config.data.shards[0], "--shards", repeating_set]
    said = hdna("eval", "context", tmp_path / "run", *sets, "--out", tmp_path / "out", "--max-bases", 4000)
    (evidence,) = find_evidence(str(tmp_path / "out"))
    body = evidence.body
    assert (evidence.kind, body["split"], len(body["sets"])) == ("context", "test", 2)
    assert {"context_length", "bits_per_base", "bases", "repeat_bits_per_base", "unique_bits_per_base"} <= set(
        body["contexts"][0]
    )
    assert body["contexts"][0]["bases"] == sum(one["contexts"][0]["bases"] for one in body["sets"])
    assert body["sets"][1]["contexts"][0]["repeat_bits_per_base"] is None  # nothing in it is in lower case
    assert body["verdict"] in said
    assert (tmp_path / "out/context.svg").read_text().startswith("<svg")
    assert "NaN" not in json.dumps(body)


def test_the_verdict_says_by_how_much_and_whether_the_interval_is_clear_of_zero() -> None:
    rows = [{"context_length": 1024}, {"context_length": 4096}]
    assert verdict(rows, Estimate(-0.02, -0.03, -0.01)) == (
        "Longer context helps: 0.0200 bits per base less with 4,096 bases of context instead of 1,024, 95 % interval "
        "of the difference -0.0300 to -0.0100, clear of zero."
    )
    assert verdict(rows, Estimate(0.02, 0.01, 0.03)).startswith("Longer context harms: 0.0200 bits per base more")
    assert verdict(rows, Estimate(-0.02, -0.03, 0.01)).endswith("which includes zero.")
    assert verdict(rows, Estimate(-0.02, None, None)).startswith("Too few blocks")


def test_a_split_that_a_set_does_not_have_is_refused(config: RunConfig, tmp_path: Path, repeating_set: str) -> None:
    bed = tmp_path / "splits.bed"
    bed.write_text("one\t0\t40000\ttrain\none\t40000\t60000\tvalid\n")
    write_shards([str(Path(repeating_set).parent / "g.zarr")], str(tmp_path / "set"), str(bed), window=2048)
    assert open_held_out(config, [str(tmp_path / "set")]).split == "valid"
    with pytest.raises(InputError, match="has no test split, only train and valid: name another one by --split"):
        open_held_out(config, [str(tmp_path / "set")], "test")


def test_blocks_are_spread_over_the_windows() -> None:
    (blocks,) = choose_blocks([np.full(1000, 4097)], 4096, 100_000)
    assert isinstance(blocks, TargetBlocks)
    assert blocks.windows_R.max() > 950
    assert np.diff(blocks.windows_R).max() < 40

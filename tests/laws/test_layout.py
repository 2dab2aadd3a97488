"""Layout law: loss and every gradient of one optimizer step are the same however the global batch is laid out.

The expectation is plain autograd over the whole global batch in one process: no DeepSpeed, ranks, slices, accumulation
or recomputation.
"""

import itertools
import random
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from support import layout_tasks
from support.layout_tasks import LayoutTask, masked_at_one_end
from support.rank_tasks import run_training
from support.ranks import run_ranks

from hdna.checkpoint import load_weights
from hdna.config import load_recipe
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.stream import WindowReader
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA, weighted_nats
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5
"""Relative; the law's own. fp32 sums of some thousand terms in another order differ by a few 1e-7."""

STEP, SAMPLES = 3, 6


class Layout(NamedTuple):
    """One way to lay a step out. Every value of a setting meets every value of every other one."""

    sequence_parallel: int
    data_parallel: int
    accumulation: int
    zero_stage: int
    long_conv: str
    order: int
    d_model: int
    context_length: int
    activation_checkpointing: bool
    min_message_bytes: int
    tile: int
    mask_one_end: bool
    clip_norm: float
    spare: int = 0
    """Ranks left over when the others have formed groups."""

    @property
    def world_size(self) -> int:
        return self.sequence_parallel * self.data_parallel + self.spare

    def overrides(self) -> list[str]:
        return [
            f"model.n_layer={4 if self.spare else 2}",  # ranks without samples own parameters of whole layers
            f"model.order={self.order}",
            f"model.d_model={self.d_model}",
            f"data.ignore_n={str(not self.mask_one_end).lower()}",
            f"curriculum.0.context_length={self.context_length}",
            f"curriculum.0.until_tokens={10 * SAMPLES * self.context_length}",
            f"curriculum.0.micro_batch_size={max(1, SAMPLES // self.data_parallel // self.accumulation)}",
            f"curriculum.0.sequence_parallel={self.sequence_parallel}",
            f"optim.global_batch_tokens={SAMPLES * self.context_length}",
            f"optim.clip_norm={self.clip_norm}",
            f"parallel.workers={self.world_size}",
            f"parallel.zero_stage={self.zero_stage}",
            f"parallel.long_conv={self.long_conv}",
            f"parallel.activation_checkpointing={str(self.activation_checkpointing).lower()}",
        ]


Value = int | float | str
Pair = tuple[int, Value, int, Value]
"""Number and value of one setting, and of a later one."""

VALUES: dict[str, tuple[Value, ...]] = {
    "sequence_parallel": (1, 2, 3, 4, 6),
    "data_parallel": (1, 2),
    "accumulation": (1, 3),
    "zero_stage": (0, 1, 2, 3),
    "long_conv": ("all_to_all", "distributed_fft"),
    "order": (2, 3),
    "d_model": (12, 5),  # 5: no degree divides it, and 6 ranks are more than it has channels
    "context_length": (252, 300),  # neither is a power of two; 300 is cut into slices of 50, 75, 100, 150
    "activation_checkpointing": (False, True),
    "min_message_bytes": (2**22, 1),  # one group of channels, or as many as there are channels
    "tile": (2**16, 37),  # positions: all at once, or in tiles of which the last is shorter
    "mask_one_end": (False, True),
    "clip_norm": (1e6, 0.05),
    "spare": (0,),  # more in UNEVEN
}
SETTINGS = list(VALUES.values())
"""The values of each setting, in the layout's order."""

UNEVEN = [
    # Data ranks that do not divide six samples: 3 + 3 in four micro-batches of one or two, 5, and one rank too many.
    Layout(1, 4, 1, 1, "all_to_all", 2, 12, 252, False, 2**22, 2**16, False, 1e6),
    Layout(1, 5, 3, 2, "all_to_all", 2, 12, 252, True, 2**22, 37, True, 1e6),
    Layout(1, 7, 1, 3, "all_to_all", 3, 5, 300, False, 2**22, 2**16, False, 0.05),
    Layout(1, 7, 1, 0, "all_to_all", 2, 12, 252, True, 2**22, 2**16, True, 1e6),
    # Ranks left over: they run without samples.
    Layout(2, 3, 1, 3, "all_to_all", 3, 12, 300, True, 1, 37, False, 1e6, spare=1),
    Layout(2, 3, 3, 1, "distributed_fft", 2, 5, 252, False, 2**22, 2**16, True, 0.05, spare=1),
    Layout(2, 3, 1, 0, "all_to_all", 2, 12, 252, False, 2**22, 2**16, False, 1e6, spare=1),
    Layout(3, 1, 3, 2, "all_to_all", 2, 12, 300, False, 1, 2**16, False, 1e6, spare=2),
    Layout(4, 1, 1, 3, "distributed_fft", 3, 12, 300, True, 2**22, 37, True, 1e6, spare=1),
]
"""Numbers of workers that the batch or the degree does not divide, as after a loss of some."""


def pairs(layout: tuple[Value, ...]) -> set[Pair]:
    """Every two settings of a layout with their values."""
    return {(i, a, j, b) for (i, a), (j, b) in itertools.combinations(enumerate(layout), 2)}


def all_pairs() -> set[Pair]:
    """Every two values of every two settings."""
    return {
        (i, a, j, b)
        for (i, first), (j, second) in itertools.combinations(enumerate(SETTINGS), 2)
        for a, b in itertools.product(first, second)
    }


@cache
def covering_layouts() -> list[Layout]:
    """A selection in which any two values of any two settings meet: the best of some random rows, again and again."""
    draw = random.Random(5)
    missing = all_pairs()
    chosen: list[Layout] = []
    while missing:
        i, a, j, b = min(missing)
        rows = []
        for _ in range(300):
            row = [draw.choice(values) for values in SETTINGS]
            row[i], row[j] = a, b
            rows.append(Layout._make(row))
        chosen.append(max(rows, key=lambda row: len(pairs(row) & missing)))
        missing -= pairs(chosen[-1])
    return chosen


def test_any_two_settings_meet() -> None:
    """The selection itself, by counting: it must cover what the law claims."""
    assert {pair for layout in covering_layouts() for pair in pairs(layout)} == all_pairs()


@pytest.fixture(scope="module")
def layout_recipe(tiny_recipe: Path) -> Path:
    """The tiny recipe with one stage."""
    path = tiny_recipe.with_name("layout.yaml")
    lines = tiny_recipe.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "context_length: 512" not in line))
    return path


LAYOUTS = [*covering_layouts(), *UNEVEN]


@pytest.mark.parametrize("world_size", sorted({layout.world_size for layout in LAYOUTS}))
def test_loss_and_gradients_do_not_depend_on_the_layout(world_size: int, layout_recipe: Path, tmp_path: Path) -> None:
    layouts = {str(n): layout for n, layout in enumerate(LAYOUTS) if layout.world_size == world_size}
    tasks = [task(name, layout, layout_recipe) for name, layout in layouts.items()]
    run_ranks(world_size, layout_tasks.run_layouts, layouts=tasks, out=tmp_path)
    for each in tasks:
        found = load_file(tmp_path / f"{each.name}.safetensors")
        assert_same(found, plain_step(each), str(layouts[each.name]))


def task(name: str, layout: Layout, recipe: Path) -> LayoutTask:
    return LayoutTask(
        name=name,
        step=STEP,
        config=load_recipe(str(recipe), layout.overrides()),
        min_message_bytes=layout.min_message_bytes,
        tile=layout.tile,
        mask_one_end=layout.mask_one_end,
    )


def plain_step(layout: LayoutTask) -> dict[str, torch.Tensor]:
    """Loss and gradients of the whole global batch by autograd alone."""
    config = layout.config
    curriculum = Curriculum.of(config)
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    crops = DataOrder(windows.tables, curriculum, config.run.seed).batch(STEP)
    stage = curriculum.stage(STEP)
    collator = Collator(windows.read_batch, config.data, config.run.seed)
    seed = collator.step_batch(STEP, stage, crops, 0, 1, slice(0, 1)).dropout_seed
    whole = slice(0, stage.context_length)
    batch = collator.micro_batch(crops, range(len(crops)), stage.context_length, whole)
    if layout.mask_one_end:
        masked_at_one_end(batch, stage.context_length)
    assert_unevenly_masked(batch.weights)
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    model.embed_dropout.set_position(seed, batch.samples)
    loss = weighted_nats(model(batch.input_ids), batch.targets, batch.weights) / batch.weights.sum()
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norm = torch.linalg.vector_norm(torch.cat([g.flatten().double() for g in gradients.values()]))
    clip = min(1.0, config.optim.clip_norm / float(norm))
    return {"loss": loss.detach(), "grad_norm": norm, **{name: g * clip for name, g in gradients.items()}}


def assert_unevenly_masked(weights: torch.Tensor) -> None:
    """The law is only tested where samples differ in how much of them is N or down-weighted."""
    assert weights.sum(dim=1).unique().numel() > 2
    assert (weights == 0).any()


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], layout: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = float((found[name].double() - value.double()).abs().max() / value.double().abs().max())
        tolerance = LOSS_TOLERANCE if name == "loss" else GRADIENT_TOLERANCE
        assert error <= tolerance, f"{name} of {layout}: relative error {error:.1e}"


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_accumulation_may_change_from_stage_to_stage(zero: int, tiny_recipe: Path, tmp_path: Path) -> None:
    """Five steps of one micro step, then five of four: the count of micro steps is no multiple of four in between."""
    urls = [str(tmp_path / name) for name in ("whole", "accumulated")]
    stages = ["curriculum.0.until_tokens=10240", "curriculum.0.micro_batch_size=8"]
    for url, micro_batch in zip(urls, (4, 1), strict=True):
        overrides = [
            *stages,
            f"run.url={url}",
            f"curriculum.1.micro_batch_size={micro_batch}",
            f"parallel.zero_stage={zero}",
        ]
        run_ranks(1, run_training, recipe=tiny_recipe, overrides=overrides)
    whole, accumulated = (load_weights(url) for url in urls)
    for name, value in whole.items():
        error = float((accumulated[name] - value).abs().max() / value.abs().max())
        assert error <= 1e-4, f"{name}: {error:.1e}"  # ten steps of Adam, see test_resume.py


@pytest.fixture(scope="module")
def one_rank(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a whole run on one rank."""
    url = str(tmp_path_factory.mktemp("one") / "rank")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
    return url


@pytest.mark.parametrize(("zero", "degrees"), [(0, (1, 2)), (1, (2, 1)), (2, (1, 2)), (3, (2, 1))])
def test_sequence_parallel_may_change_from_stage_to_stage(
    zero: int, degrees: tuple[int, int], tiny_recipe: Path, one_rank: str, tmp_path: Path
) -> None:
    """Live, in one process and with its optimizer state: weights and the valid split's score are those of one rank."""
    url = str(tmp_path / "changing")
    stages = [f"curriculum.{stage}.sequence_parallel={degree}" for stage, degree in enumerate(degrees)]
    overrides = [f"run.url={url}", "parallel.workers=2", f"parallel.zero_stage={zero}", *stages]
    run_ranks(2, run_training, recipe=tiny_recipe, overrides=overrides)
    for name, value in load_weights(one_rank).items():
        error = float((load_weights(url)[name] - value).abs().max() / value.abs().max())
        assert error <= 1e-4, f"{name}: {error:.1e}"  # ten steps of Adam, see test_resume.py
    found, expected = (
        [(r.sequence_parallel, r.valid_loss, r.valid_bases) for r in read_metrics(place) if r.valid_loss is not None]
        for place in (url, one_rank)
    )
    assert {degree for degree, _, _ in found} == set(degrees)
    assert [bases for _, _, bases in found] == [bases for _, _, bases in expected]
    assert [loss for _, loss, _ in found] == pytest.approx([loss for _, loss, _ in expected], rel=1e-4)

"""Layout law: loss and every gradient of one optimizer step are the same however the global batch is laid out.

The expectation is plain autograd over the whole global batch in one process, without DeepSpeed, ranks or accumulation.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hdna.checkpoint import load_weights
from hdna.config import load_recipe
from hdna.data.batch import Sampler
from hdna.data.cache import ShardCache
from hdna.data.curriculum import Curriculum
from hdna.data.order import Order
from hdna.data.stream import WindowReader
from hdna.genome.shard import load_shard_set
from hdna.model import HyenaDNA, weighted_nats

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5
"""Relative; the law's own. fp32 sums of some thousand terms in another order differ by a few 1e-7."""

STEP = 2
MICRO_BATCHES = {1: (1, 2, 8), 2: (1, 2, 4), 4: (1, 2)}
"""Samples per forward by number of data ranks: with 8 samples in the batch, accumulation 8, 4, 1; 4, 2, 1; and 2, 1."""
NO_CLIPPING, CLIPPING = "optim.clip_norm=1e6", "optim.clip_norm=0.05"


def plain_step(recipe: Path, overrides: list[str]) -> dict[str, torch.Tensor]:
    """Loss and gradients of the whole global batch by autograd alone."""
    config = load_recipe(str(recipe), overrides)
    curriculum = Curriculum.of(config)
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    crops = Order(windows.tables, curriculum, config.run.seed).batch(STEP)
    stage = curriculum.stage(STEP)
    sampler = Sampler(windows.read, config.data, config.run.seed, 0, 1)
    seed = sampler.step_batch(STEP, stage, crops).dropout_seed
    batch = sampler.micro_batch(crops, range(len(crops)), stage.context_length)
    assert_unevenly_masked(batch.weights)
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    model.embed_dropout.at(seed, batch.samples)
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


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_loss_and_gradients_do_not_depend_on_the_layout(world_size, tiny_recipe, tmp_path, run_ranks):
    layouts = [
        {"step": STEP, "overrides": [f"curriculum.0.micro_batch_size={micro}", f"parallel.zero_stage={zero}", clip]}
        for zero in (0, 1, 2, 3)
        for micro in MICRO_BATCHES[world_size]
        for clip in ((NO_CLIPPING, CLIPPING) if micro == 1 else (NO_CLIPPING,))
    ]
    run_ranks(world_size, "gradients", recipe=tiny_recipe, layouts=layouts, out=tmp_path)
    expected = {
        clip: plain_step(tiny_recipe, ["curriculum.0.micro_batch_size=8", clip]) for clip in (NO_CLIPPING, CLIPPING)
    }
    for number, layout in enumerate(layouts):
        found = load_file(tmp_path / f"layout-{number}.safetensors")
        assert_same(found, expected[layout["overrides"][-1]], str(layout))


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], layout: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = float((found[name].double() - value.double()).abs().max() / value.double().abs().max())
        tolerance = LOSS_TOLERANCE if name == "loss" else GRADIENT_TOLERANCE
        assert error <= tolerance, f"{name} of {layout}: relative error {error:.1e}"


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_accumulation_may_change_from_stage_to_stage(zero, tiny_recipe, tmp_path, run_ranks):
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
        run_ranks(1, "train", recipe=tiny_recipe, overrides=overrides)
    whole, accumulated = (load_weights(url) for url in urls)
    for name, value in whole.items():
        error = float((accumulated[name] - value).abs().max() / value.abs().max())
        assert error <= 1e-4, f"{name}: {error:.1e}"  # ten steps of Adam, see test_resume.py

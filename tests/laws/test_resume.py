"""Resume law: a run killed at any moment and resumed ends with the weights of a run never stopped."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from support.files import flip_bit
from support.rank_tasks import run_training
from support.ranks import run_ranks, start_ranks

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints, load_checkpoint, load_weights, newest_intact
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks

STEPS = 10
LAYOUT_TOLERANCE = 1e-4
"""Relative to the largest weight. One step agrees to 1e-5 (layout law); Adam divides each gradient by its own size,
so ten steps on weights with a gradient near zero may drift by more. A wrong moment or count is off by 1e-2 and more."""


@pytest.fixture(scope="module")
def never_stopped(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a run that nothing interrupted."""
    url = str(tmp_path_factory.mktemp("whole") / "never-stopped")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
    return url


def train_until_killed(
    recipe: Path, url: str, at_step: int, world_size: int = 1, after_ms: int = 0, overrides: Sequence[str] = ()
) -> None:
    """Start a run and end it with SIGKILL once it has announced step `at_step`, or some milliseconds later."""
    overrides = [f"run.url={url}", f"parallel.workers={world_size}", *overrides]
    ranks = start_ranks(world_size, run_training, recipe=recipe, overrides=overrides)
    try:
        ranks[0].wait_for_step(at_step)
        if after_ms:
            time.sleep(after_ms / 1000)
    finally:
        for rank in ranks:
            rank.kill()


def newest(url: str) -> LoadedCheckpoint:
    """A run's newest checkpoint."""
    ref, _ = newest_intact(url)
    assert ref is not None
    return load_checkpoint(ref.url)


def assert_same_bits(url: str, expected_url: str) -> None:
    found, expected = newest(url).tensors, newest(expected_url).tensors
    for kind in ("parameters", "exp_avg", "exp_avg_sq"):
        assert found[kind].keys() == expected[kind].keys()
        for name, value in expected[kind].items():
            assert torch.equal(found[kind][name], value), f"{kind} {name}"


def assert_same_run(url: str, expected_url: str) -> None:
    """The metrics tell one story: every step once, with the same losses as the run never stopped."""
    found, expected = read_metrics(url), read_metrics(expected_url)
    assert [record.step for record in found] == list(range(1, STEPS + 1))
    for key in ("loss", "learning_rate", "tokens", "stage", "grad_norm", "valid_loss", "predicted_bases"):
        assert [getattr(r, key) for r in found] == [getattr(r, key) for r in expected], key


@pytest.mark.parametrize(
    ("at_step", "after_ms"),
    [(1, 0), (5, 0), (6, 0), (8, 3)],
    ids=["before any checkpoint", "between checkpoints", "at the stage's edge", "while saving"],
)
def test_a_killed_run_resumes_bit_for_bit(
    at_step: int, after_ms: int, tiny_recipe: Path, never_stopped: str, tmp_path: Path
) -> None:
    url = str(tmp_path / "killed")
    train_until_killed(tiny_recipe, url, at_step, after_ms=after_ms)
    assert len(read_metrics(url)) < STEPS
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
    assert_same_bits(url, never_stopped)
    assert_same_run(url, never_stopped)


MIXED = [
    "curriculum=[{context_length: 512, shorter_contexts: [64, 256], until_tokens: 20480, sequence_parallel: 1}]",
    "evaluate.max_bases=2000",
]
"""Ten steps of three contexts."""


def test_a_stage_of_several_contexts_resumes_bit_for_bit_and_on_another_layout(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    whole, killed, shared = (str(tmp_path / name) for name in ("whole", "killed", "shared"))
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={whole}", *MIXED])
    train_until_killed(tiny_recipe, killed, 5, overrides=MIXED)
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={killed}", *MIXED])
    assert_same_bits(killed, whole)
    assert_same_run(killed, whole)
    two = ["parallel.workers=2", MIXED[0].replace("parallel: 1", "parallel: 2"), MIXED[1]]
    run_ranks(2, run_training, recipe=tiny_recipe, overrides=[f"run.url={shared}", *two])
    expected = load_weights(whole)
    for name, value in load_weights(shared).items():
        error = float((value - expected[name]).abs().max() / expected[name].abs().max())
        assert error <= LAYOUT_TOLERANCE, f"{name}: {error:.1e}"
    records = read_metrics(whole)
    assert [record.context_length for record in records] == [512, 64, 256, *[512, 64, 256] * 2, 512]
    scored = [record for record in records if record.valid_bits_by_context is not None]
    assert [record.step for record in scored] == [5, 10]
    for record in scored:
        assert record.valid_bits_by_context is not None
        assert [*record.valid_bits_by_context] == ["512", "64", "256"]
        assert record.valid_bits_by_context["512"] == record.valid_bits_per_base
    for one, other in zip(scored, (r for r in read_metrics(shared) if r.valid_bits_by_context), strict=True):
        assert one.valid_bits_by_context == pytest.approx(other.valid_bits_by_context, rel=1e-4)


@pytest.mark.parametrize(
    ("first", "then"),
    [((1, 1, 1), (2, 3, 2)), ((2, 2, 2), (1, 0, 1)), ((2, 3, 1), (2, 1, 2)), ((1, 0, 1), (4, 2, 4))],
    ids=["1 rank -> 2 that share samples", "2 that share -> 1", "2 -> 2 that share", "1 -> 4 that share"],
)
def test_a_run_resumed_on_another_layout_ends_with_the_same_weights(
    first: tuple[int, int, int], then: tuple[int, int, int], tiny_recipe: Path, never_stopped: str, tmp_path: Path
) -> None:
    """Other numbers of ranks, ZeRO stages and sequence-parallel degrees."""
    url = str(tmp_path / "moved")

    def layout(ranks: int, zero: int, degree: int) -> list[str]:
        shared = [f"curriculum.{stage}.sequence_parallel={degree}" for stage in (0, 1)]
        return [f"parallel.zero_stage={zero}", "curriculum.0.micro_batch_size=1", f"parallel.workers={ranks}", *shared]

    train_until_killed(tiny_recipe, url, 5, world_size=first[0], overrides=layout(*first))
    assert list_checkpoints(url)
    run_ranks(then[0], run_training, recipe=tiny_recipe, overrides=[f"run.url={url}", *layout(*then)])
    found, expected = load_weights(url), load_weights(never_stopped)
    for name, value in expected.items():
        error = float((found[name] - value).abs().max() / value.abs().max())
        assert error <= LAYOUT_TOLERANCE, f"{name}: {error:.1e}"


def test_a_damaged_checkpoint_is_passed_over_by_name_and_the_run_ends_the_same(
    tiny_recipe: Path, never_stopped: str, tmp_path: Path
) -> None:
    url = str(tmp_path / "damaged")
    train_until_killed(tiny_recipe, url, 9)
    damaged = Path(list_checkpoints(url)[-1].url)
    part = next(damaged.glob("*.safetensors"))
    flip_bit(part)
    ran = run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
    assert f"skipped a damaged checkpoint: {part} does not have the sha256" in ran[0].output()
    assert (damaged.parent / f"{damaged.name}-r1" / "MANIFEST.json").exists()  # the path itself is never used again
    assert_same_bits(url, never_stopped)


def test_adam_continues_its_count_and_its_moments(tiny_recipe: Path, never_stopped: str) -> None:
    """What is saved is Adam's real state: moments that are not zero, and one update for each step."""
    saved = newest(never_stopped)
    assert saved.state.updates == saved.state.step == STEPS
    assert all(moment.abs().sum() > 0 for kind in ("exp_avg", "exp_avg_sq") for moment in saved.tensors[kind].values())

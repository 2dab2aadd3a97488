"""Faults of processes and disks, at two ranks: the run ends with the bits of one that nobody disturbed."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.chaos import TIMES, Row, inject, until
from support.chaos_ranks import STEPS, RankRun
from support.files import flip_bit
from support.rank_tasks import run_saved_slowly

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints

pytestmark = [pytest.mark.fault, pytest.mark.ranks, pytest.mark.xdist_group("chaos")]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 32 MiB at `folder`."""
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def one_rank_is_killed_in_a_step(run: RankRun, rng: random.Random) -> None:
    ranks = run.start()
    ranks[0].wait_for_step(rng.randint(1, STEPS - 2))
    time.sleep(rng.random() * 0.02)
    run.disturbed()
    victim, survivor = rng.sample(ranks, 2)
    victim.kill()
    assert survivor.wait() != 0 and "another worker died" in survivor.errors()
    run.resume()


def all_ranks_are_killed_in_a_save(run: RankRun, rng: random.Random) -> None:
    run.start(run_saved_slowly, seconds=0.1)
    folder = Path(run.url, "checkpoints", f"step-{rng.choice([2, 4, 6]):06d}")
    until(lambda: folder.is_dir() and any(folder.iterdir()))
    run.disturbed()
    run.kill()
    run.resume()


def all_ranks_are_killed_between_files_and_manifest(run: RankRun, rng: random.Random) -> None:
    run.start(run_saved_slowly, seconds=1.0, slow=("MANIFEST.json",))
    folder = Path(run.url, "checkpoints", "step-000004")
    until(lambda: (folder / "state.json").exists())
    run.disturbed()
    run.kill()
    assert not (folder / "MANIFEST.json").exists()
    run.resume()
    assert Path(f"{folder}-r1", "MANIFEST.json").exists()


def one_rank_hangs_in_a_collective(run: RankRun, rng: random.Random) -> None:
    ranks = run.start(timeout_s=2.0)
    ranks[0].wait_for_step(rng.randint(1, STEPS - 3))
    run.disturbed()
    hangs, waits = rng.sample(ranks, 2)
    hangs.send(signal.SIGSTOP)
    assert waits.wait(60) != 0 and "did not reach a collective" in waits.errors()
    run.kill()
    run.resume()


def killed_after_a_checkpoint(run: RankRun, step: int) -> Path:
    ranks = run.start()
    ranks[0].wait_for_step(step)
    until(lambda: len(list_checkpoints(run.url)) > 1)
    run.kill()
    run.disturbed()
    return Path(list_checkpoints(run.url)[-1].url)


def a_byte_of_the_newest_checkpoint_is_another(run: RankRun, rng: random.Random) -> None:
    newest = killed_after_a_checkpoint(run, rng.randint(6, STEPS - 2))
    flip_bit(rng.choice(sorted(newest.iterdir())))
    assert "skipped a damaged checkpoint" in run.resume()


def a_file_of_the_newest_checkpoint_is_cut(run: RankRun, rng: random.Random) -> None:
    newest = killed_after_a_checkpoint(run, rng.randint(6, STEPS - 2))
    cut = rng.choice(sorted(newest.iterdir()))
    os.truncate(cut, rng.randrange(cut.stat().st_size - 1))
    assert "skipped a damaged checkpoint" in run.resume()


def the_disk_is_full(run: RankRun, rng: random.Random) -> None:
    """Three saves fail, and the run ends; with space again it goes on."""
    disk, ballast = Path(run.url).parent, Path(run.url).parent / "ballast"
    leader, _ = run.start(run_saved_slowly, seconds=0.05)
    until(lambda: list_checkpoints(run.url))
    run.disturbed()
    free = os.statvfs(disk)
    ballast.write_bytes(b"x" * (free.f_bavail * free.f_bsize - 4096))
    assert leader.wait() != 0
    assert leader.output().count("was not saved: ") == 3 and "No space left on device" in leader.output()
    ballast.unlink()
    run.resume()


FAULTS = {
    "kill -9 of one rank in a step": one_rank_is_killed_in_a_step,
    "kill -9 of all ranks in a save": all_ranks_are_killed_in_a_save,
    "kill -9 of all ranks between files and manifest": all_ranks_are_killed_between_files_and_manifest,
    "a rank that hangs in a collective": one_rank_hangs_in_a_collective,
    "a flipped bit in the newest checkpoint": a_byte_of_the_newest_checkpoint_is_another,
    "a truncated file in the newest checkpoint": a_file_of_the_newest_checkpoint_is_cut,
    "a full disk": the_disk_is_full,
}
DAMAGING = {"a flipped bit in the newest checkpoint", "a truncated file in the newest checkpoint"}


@pytest.mark.parametrize("name", FAULTS)
def test_the_run_ends_as_if_nothing_had_happened(
    name: str, tiny_recipe: Path, undisturbed: LoadedCheckpoint, tmp_path: Path, rows: dict[str, Row]
) -> None:
    rng = random.Random(name)
    for number in range(TIMES):
        with ExitStack() as stack:
            folder = tmp_path / str(number)
            folder.mkdir()
            if FAULTS[name] is the_disk_is_full:
                stack.enter_context(small_disk(folder))
            run = RankRun(tiny_recipe, f"{folder}/run")
            inject(name, rows, FAULTS[name], run, rng, undisturbed, damaged=name in DAMAGING)

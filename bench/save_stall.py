"""How long a save holds training up: behind training as it is, and beside it the same save waited for.

    python bench/save_stall.py SHARDS

One process, two threads, the quickstart recipe up to step 120, a save every 20 steps, to a folder. The stall is what
the training thread spends in a save; what the writing thread takes from the steps after it shows in their time.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of a bench

from hdna.config import load_recipe
from hdna.run.events import Event, StepDone
from hdna.train.loop import train
from hdna.train.saver import Saver

STEPS, EVERY = 120, 20
BATCH_TOKENS = 8192


def run(shards: str, waits: bool) -> tuple[list[float], list[float]]:
    """Seconds of each step, without evaluation and save, and of each save."""
    stalls: list[float] = []
    steps: list[float] = []
    begin = Saver.begin

    def timed(saver: Saver, *arguments: object) -> None:
        began = time.perf_counter()
        begin(saver, *arguments)  # type: ignore[arg-type]
        if waits:
            saver.finish()
        stalls.append(time.perf_counter() - began)

    def hear(event: Event) -> None:
        if isinstance(event, StepDone) and event.record.tokens_per_second:
            steps.append(BATCH_TOKENS / event.record.tokens_per_second)

    Saver.begin = timed  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"data.shards=[{shards}]", f"run.url={folder}/run", f"checkpoint.every_steps={EVERY}"]
        overrides += ["evaluate.every_steps=1000", f"curriculum.0.until_tokens={STEPS // 2 * BATCH_TOKENS}"]
        overrides += [f"curriculum.1.until_tokens={STEPS * BATCH_TOKENS}"]
        train(load_recipe("quickstart", overrides), torch.device("cpu"), hear)
    Saver.begin = begin  # type: ignore[method-assign]
    return steps[5:], stalls


def main() -> None:
    """Print one line for each way, and the ratio."""
    torch.set_num_threads(2)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    meeting = Path(tempfile.mkdtemp(prefix="hdna-save-stall-"), "meeting")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
    shards = str(Path(sys.argv[1]).resolve())
    for waits in (False, True, False, True):
        steps, stalls = run(shards, waits)
        share = median(stalls) / (EVERY * median(steps))
        way = "waited for" if waits else "behind training"
        print(
            f"{way:16} step {median(steps) * 1e3:6.1f} ms (mean {sum(steps) / len(steps) * 1e3:6.1f}), save holds up "
            f"{median(stalls) * 1e3:6.1f} ms (largest {max(stalls) * 1e3:6.1f}): {share:.2%} of {EVERY} steps"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

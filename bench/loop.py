"""What a step of training takes beyond the model's forward and backward pass: data, engine, clipping, AdamW, logging.

    python bench/loop.py SHARDS

One process, two threads, the quickstart recipe for 40 steps of each context length; after each step the same micro
steps of the same model alone, so that a busy machine slows both.
"""

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from one_rank import one_rank

from hdna.config import load_recipe
from hdna.data.curriculum import Curriculum, StagePlan
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.filter_cache import MicroStep
from hdna.run.events import Event, StepDone
from hdna.train.loop import train

STEPS, WARM_UP = 40, 5


def alone(model: HyenaDNA, stage: StagePlan) -> float:
    """Seconds of the micro steps of an optimizer step, forward and backward."""
    ids = torch.randint(7, 11, (stage.largest_micro_batch(1), stage.context_length))
    weights = torch.ones(ids.shape)
    micro_steps = stage.accumulation(1)
    began = time.perf_counter()
    for number in range(1, micro_steps + 1):
        model.backbone.micro_step = MicroStep(first=number == 1, last=number == micro_steps)
        weighted_nats(model(ids), ids, weights).backward()
    taken = time.perf_counter() - began
    model.zero_grad()
    return taken


def main() -> None:
    """Print a line for each stage."""
    torch.set_num_threads(2)
    with one_rank(torch.device("cpu")), TemporaryDirectory() as folder:
        overrides = [f"data.shards=[{Path(sys.argv[1]).resolve()}]", f"run.url={folder}/run"]
        overrides += ["checkpoint.every_steps=1000", "evaluate.every_steps=1000"]
        batch_tokens = load_recipe("quickstart").optim.global_batch_tokens
        overrides += [f"curriculum.{stage}.until_tokens={(stage + 1) * STEPS * batch_tokens}" for stage in (0, 1)]
        config = load_recipe("quickstart", overrides)
        stages, model = Curriculum.of(config).stages, HyenaDNA(config.model)
        taken: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
        ended = time.perf_counter()

        def hear(event: Event) -> None:
            nonlocal ended
            if isinstance(event, StepDone):
                step = time.perf_counter() - ended
                if event.record.valid_loss is None:
                    taken[event.record.stage].append((step, alone(model, stages[event.record.stage])))
                ended = time.perf_counter()

        train(config, torch.device("cpu"), hear)
    for number, times in taken.items():
        steps, models = (median(column) for column in zip(*times[WARM_UP:], strict=True))
        print(
            f"context {stages[number].context_length:5}: step {steps * 1e3:6.1f} ms, model alone {models * 1e3:6.1f}: "
            f"{models / steps:.3f} of the step; {batch_tokens / steps:,.0f} tokens/s"
        )


if __name__ == "__main__":
    main()

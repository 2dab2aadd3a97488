"""The rates in metrics.jsonl: FLOPs, counted by hand from the recipe, over the time that tokens took."""

from pathlib import Path

import pytest
from support.rank_tasks import run_training
from support.ranks import run_ranks

from hdna.config import load_recipe
from hdna.model import train_flops_per_token
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


@pytest.mark.parametrize("world_size", [1, 2])
def test_tflops_per_worker_are_those_of_its_share_of_the_tokens(
    world_size: int, tiny_recipe: Path, tmp_path: Path
) -> None:
    overrides = [f"run.url={tmp_path / 'run'}", f"parallel.workers={world_size}"]
    run_ranks(world_size, run_training, recipe=tiny_recipe, overrides=overrides)
    config = load_recipe(str(tiny_recipe), overrides)
    records = read_metrics(str(tmp_path / "run"))
    assert records
    for record in records:
        stage = config.curriculum[record.stage]
        each = train_flops_per_token(config.model, stage.context_length, stage.micro_batch_size)
        assert record.tokens_per_second is not None
        wanted = each * record.tokens_per_second / world_size / 1e12
        assert record.tflops_per_worker == pytest.approx(wanted)
        assert record.mfu is None  # a CPU's rate is not known

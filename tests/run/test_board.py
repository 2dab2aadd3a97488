"""TensorBoard's own reader finds train and valid under names that it draws side by side, and the recipe as HParams."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from hdna.run.best_effort import BestEffort
from hdna.run.metrics import Metrics
from hdna.run.step_record import StepRecord


def test_curves_have_names_that_overlay(tmp_path: Path) -> None:
    sets = {"hg38": {"bits_per_base": 1.9, "bases": 10, "unique": 1.92, "repeats": None}}
    metrics = Metrics(str(tmp_path), 0, BestEffort(print), settings={"optim.clip_norm": 0.5, "run.url": "x"})
    metrics.log(StepRecord(1, 64, 0, 64, bits_per_base=1.95, grad_norm=0.7))
    metrics.log(StepRecord(2, 128, 0, 64, bits_per_base=1.94, valid_bits_per_base=1.9, valid_sets=sets, mfu=0.1))
    metrics.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    found = {
        tag: [(event.step, round(event.value, 4)) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]
    }
    assert found["bits_per_base/train"] == [(1, 1.95), (2, 1.94)]
    assert found["bits_per_base/valid"] == found["bits_per_base/valid/hg38"] == [(2, 1.9)]
    assert found["bits_per_base/valid_unique/hg38"] == [(2, 1.92)]
    assert "bits_per_base/valid_repeats/hg38" not in found
    assert found["gradient_norm/before_clipping"] == [(1, 0.7)]
    assert found["gradient_norm/clip"] == [(1, 0.5), (2, 0.5)]
    assert found["speed/mfu"] == [(2, 0.1)]
    session = read.SummaryMetadata("_hparams_/session_start_info")
    assert session.plugin_data.plugin_name == "hparams"

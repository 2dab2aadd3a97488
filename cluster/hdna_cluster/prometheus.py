"""A run's newest numbers for Ray's Prometheus endpoint, which a node's dashboard agent serves for all of Ray."""

import threading
from typing import Any

from hdna.run.events import CheckpointSaved, Event, StepDone, WorkersStarted

_OF_A_STEP = {
    "step": "Optimizer steps done",
    "tokens": "Tokens seen",
    "context_length": "Tokens of one sample",
    "loss": "Mean nats per predicted base of the last step's global batch",
    "valid_bits_per_base": "Bits per base of the valid split, at the last evaluation",
    "learning_rate": "Learning rate of the last step",
    "grad_norm": "Global gradient norm of the last step, before clipping",
    "tokens_per_second": "Over all workers, in the last step",
    "seconds": "Wall time of the last step, with its evaluation and its share of a save",
    "data_wait_fraction": "Share of the last step's time spent waiting for data",
    "memory_gib": "Peak memory of rank 0",
    "skipped": "Steps skipped because their loss or gradient was not finite",
}
"""Columns of metrics.jsonl, and what they are."""


_OF_THE_RUN = {
    "steps": "Optimizer steps of the whole run",
    "checkpoint_step": "Step of the newest checkpoint",
    "workers": "Processes that train",
}
RENEWED_EVERY_S = 5.0
"""Ray forgets a gauge that was not set during two of its reporting intervals, 20 s: less than many a step takes."""


class Gauges:
    """`ray_hdna_STEP` and so on, with the run's URL as label, and the counter `ray_hdna_lost_total`.

    From any thread.
    """

    def __init__(self, run_url: str) -> None:
        from ray.util.metrics import Counter, Gauge

        def made(kind: Any, name: str, about: str) -> Any:  # noqa: ANN401 - Ray has no types
            metric = kind(f"hdna_{name}", description=about, tag_keys=("run",))
            metric.set_default_tags({"run": run_url})
            return metric

        self._gauges = {name: made(Gauge, name, about) for name, about in {**_OF_A_STEP, **_OF_THE_RUN}.items()}
        self._lost = made(Counter, "lost", "Times that workers were lost")
        self._values: dict[str, float] = {}
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """Take what an event says."""
        if isinstance(event, StepDone):
            self._set("steps", event.steps)
            for name in _OF_A_STEP:
                if (value := getattr(event.record, name)) is not None:
                    self._set(name, value)
        elif isinstance(event, CheckpointSaved):
            self._set("checkpoint_step", event.step)
        elif isinstance(event, WorkersStarted):
            self._set("workers", event.workers)

    def lost(self) -> None:
        """Workers were lost."""
        self._set("workers", 0)
        self._lost.inc()

    def renew(self) -> None:
        """Set every gauge again to what it is, so that Ray goes on showing it."""
        with self._lock:
            for name, value in self._values.items():
                self._gauges[name].set(value)

    def _set(self, name: str, value: float) -> None:
        with self._lock:
            self._values[name] = value
            self._gauges[name].set(value)

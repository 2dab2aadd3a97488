"""A run's newest numbers for Ray's Prometheus endpoint, which a node's dashboard agent serves for all of Ray."""

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


class Gauges:
    """`ray_hdna_STEP` and so on, with the run's URL as label."""

    def __init__(self, run_url: str) -> None:
        from ray.util.metrics import Counter, Gauge

        def gauge(name: str, about: str) -> Any:  # noqa: ANN401 - Ray has no types
            made = Gauge(f"hdna_{name}", description=about, tag_keys=("run",))
            made.set_default_tags({"run": run_url})
            return made

        self._of_a_step = {name: gauge(name, about) for name, about in _OF_A_STEP.items()}
        self._steps = gauge("steps", "Optimizer steps of the whole run")
        self._checkpoint_step = gauge("checkpoint_step", "Step of the newest checkpoint")
        self._workers = gauge("workers", "Processes that train")
        self._lost = Counter("hdna_lost", description="Times that workers were lost", tag_keys=("run",))
        self._lost.set_default_tags({"run": run_url})

    def hear(self, event: Event) -> None:
        """Take what an event says."""
        if isinstance(event, StepDone):
            self._steps.set(event.steps)
            for name, made in self._of_a_step.items():
                if (value := getattr(event.record, name)) is not None:
                    made.set(value)
        elif isinstance(event, CheckpointSaved):
            self._checkpoint_step.set(event.step)
        elif isinstance(event, WorkersStarted):
            self._workers.set(event.workers)

    def lost(self) -> None:
        """Workers were lost."""
        self._workers.set(0)
        self._lost.inc()

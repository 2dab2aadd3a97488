"""A run's curves as TensorBoard events. The door to TensorBoard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from hdna.run.scalars import VALID, scalars
from hdna.run.step_record import StepRecord


class Board:
    """TensorBoard's writer, which stays broken after an error, its own thread's too, that some later call raises.

    Then nothing is plotted until the next `flush`, after which a new writer begins a file of its own.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """`settings`: of the recipe, by dotted key, for TensorBoard's table of runs (HParams)."""
        self._folder, self._settings = folder, settings
        self._writer: SummaryWriter | None = None
        self._off = False

    def log(self, record: StepRecord) -> None:
        """Plot a step."""
        if self._off:
            return
        with self._given_up_if_broken():
            self._writer = self._writer or self._begun(record.step)
            for name, value in scalars(record, self._settings).items():
                self._writer.add_scalar(name, value, record.step)

    def flush(self) -> None:
        """Write out what has been plotted."""
        self._off = False
        if self._writer:
            with self._given_up_if_broken():
                self._writer.flush()

    def close(self) -> None:
        """Write out what has been plotted, and end."""
        if self._writer:
            with self._given_up_if_broken():
                self._writer.close()
        self._writer = None

    def _begun(self, step: int) -> SummaryWriter:
        """A writer that hides what earlier files have of this step and later ones."""
        writer = SummaryWriter(str(self._folder), purge_step=step)
        plain = {
            key: value if isinstance(value, bool | int | float) else str(value) for key, value in self._settings.items()
        }
        experiment, session, _ = hparams(plain, {VALID: None})
        assert writer.file_writer is not None  # a new writer has one
        for summary in (experiment, session):
            writer.file_writer.add_summary(summary)
        return writer

    @contextmanager
    def _given_up_if_broken(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._writer, self._off = None, True
            raise

"""A run's metrics during training: metrics.jsonl, TensorBoard events, and their copies in a bucket."""

import tempfile
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from hdna import storage
from hdna.run.files import METRICS, read_metrics_lines
from hdna.run.step_record import StepRecord

_PLOTTED = ("loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gib", "valid_bits_per_base")


class Metrics:
    """Appends one line per step to RUN/metrics.jsonl, and the same numbers to RUN/tensorboard.

    Objects in a bucket cannot be appended to: there the files grow in a scratch directory, and `publish` uploads them.
    """

    def __init__(self, run_url: str, resumed_step: int) -> None:
        self._url = run_url
        self._remote = not storage.is_local(run_url)
        self._scratch = tempfile.TemporaryDirectory(prefix="hdna-metrics-") if self._remote else None
        self._folder = Path(self._scratch.name) if self._scratch else storage.local_path(run_url)
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = _lines_up_to(run_url, resumed_step)
        path = self._folder / METRICS
        path.with_suffix(".partial").write_bytes(b"".join(lines))
        path.with_suffix(".partial").replace(path)
        self._file = path.open("ab")
        self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=resumed_step + 1)

    def log(self, record: StepRecord) -> None:
        """Record one step."""
        self._file.write(record.to_line())
        self._file.flush()
        for name in _PLOTTED:
            if (value := getattr(record, name)) is not None:
                self._board.add_scalar(name, value, record.step)

    def publish(self) -> None:
        """Copy the files to the run's bucket; a no-op for a local run."""
        self._board.flush()
        if not self._remote:
            return
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                storage.upload(path, storage.join(self._url, path.relative_to(self._folder).as_posix()))

    def close(self) -> None:
        """Close the files and publish them."""
        self._board.close()
        self._file.close()
        self.publish()
        if self._scratch:
            self._scratch.cleanup()


def _lines_up_to(run_url: str, step: int) -> list[bytes]:
    """Lines up to the checkpoint that the run resumes from; later steps will be repeated and logged again."""
    parsed = ((line, StepRecord.from_line(line)) for line in read_metrics_lines(run_url))
    return [line for line, record in parsed if record is not None and record.step <= step]

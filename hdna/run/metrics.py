"""What a run leaves behind as it goes: metrics.jsonl, TensorBoard events, and their copy in a bucket."""

import json
import tempfile
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from hdna import storage
from hdna.run.files import METRICS, read_metrics

_PLOTTED = ("loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gib", "valid_bits_per_base")


class Metrics:
    """Appends one line per step to RUN/metrics.jsonl, and the same numbers to RUN/tensorboard.

    A bucket has no appending: there the files grow in a scratch directory and are copied up by `publish`.
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

    def log(self, record: dict[str, Any]) -> None:
        """Write one step's numbers; `record` has its `step`."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        for name in _PLOTTED:
            if record.get(name) is not None:
                self._board.add_scalar(name, record[name], record["step"])

    def publish(self) -> None:
        """Copy the files to the run's bucket; nothing to do for a local run."""
        self._board.flush()
        if not self._remote:
            return
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                storage.upload(path, storage.join(self._url, path.relative_to(self._folder).as_posix()))

    def close(self) -> None:
        """Finish the files and publish them."""
        self._board.close()
        self._file.close()
        self.publish()
        if self._scratch:
            self._scratch.cleanup()


def _lines_up_to(run_url: str, step: int) -> list[bytes]:
    """Lines of steps that the resumed run has not undone; what came after its checkpoint will be written again."""
    return [json.dumps(r).encode() + b"\n" for r in read_metrics(run_url) if r.get("step", 0) <= step]

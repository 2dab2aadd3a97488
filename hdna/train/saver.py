"""Checkpoints are written behind training, which waits only for the copy into host memory.

One save at a time: when the next one is due while one is going on, training waits for that. A save that fails is
reported, and the next is tried when it is due; the run ends after MAX_FAILED_IN_A_ROW, or when its last one fails.
"""

import threading
import time
from dataclasses import replace

import torch

from hdna.checkpoint import RunState, prune
from hdna.config import RunConfig
from hdna.parallel import Mesh
from hdna.parallel.mesh import lost_ranks_explained
from hdna.run.best_effort import BestEffort
from hdna.run.events import CheckpointSaved
from hdna.run.lease import Fence
from hdna.run.metrics import Metrics
from hdna.train.checkpointing import owned_tensors
from hdna.train.engine import Engine
from hdna.train.save import Save, SaveFailedError
from hdna.train.save_interval import SaveTimer

MAX_FAILED_IN_A_ROW = 3
_NOTICEABLE_S = 0.1


class Saver:
    """Saves an engine. Every method is called by all ranks, at the same steps."""

    def __init__(
        self,
        engine: Engine,
        mesh: Mesh,
        config: RunConfig,
        fence: Fence | None,
        metrics: Metrics | None,
        best_effort: BestEffort,
    ) -> None:
        """`mesh`: all ranks in a group of their own; `metrics`: on rank 0."""
        self._engine, self._mesh, self._fence = engine, mesh, fence
        self._run_url, self._settings = config.run.url, config.checkpoint
        self._metrics, self._best_effort = metrics, best_effort
        self._timer = SaveTimer(config.checkpoint)
        self._verified: dict[str, float] = {}
        self._saving: threading.Thread | None = None
        self._step = 0
        self._failures: list[SaveFailedError] = []
        """Those since the last success."""
        self._error: BaseException | None = None
        self._has_waited = False

    def is_due(self, step: int, evaluated: bool) -> bool:
        """Whether to save after this step, by this rank's clock: rank 0's decides."""
        return self._mesh.is_leader and self._timer.is_due(step, evaluated)

    def begin(self, state: RunState, valid_bits_per_base: float | None) -> None:
        """Copy what this rank writes, then write it in the background.

        Raises the last SaveFailedError when too many came in a row, and what a lost rank has caused.
        """
        began = time.monotonic()
        self._timer.begun()
        self._wait_for_last(state.step)
        tensors = owned_tensors(self._engine, self._mesh)
        save = Save(self._run_url, replace(state), valid_bits_per_base, self._fence)
        self._step = state.step
        held_up_s = time.monotonic() - began
        self._saving = threading.Thread(target=self._save, args=(save, tensors, held_up_s), daemon=True)
        self._saving.start()

    def finish(self) -> None:
        """Wait for the save that is going on. Raises SaveFailedError when it fails."""
        self._join()
        if self._failures:
            raise self._failures[-1]

    def _wait_for_last(self, step: int) -> None:
        before, began = self._step, time.perf_counter()
        self._join()
        waited = time.perf_counter() - began
        if waited > _NOTICEABLE_S and not self._has_waited:
            self._has_waited = True
            self._best_effort.report(
                f"the checkpoint of step {before} was still being written when that of step {step} was due: training "
                f"waited {waited:.1f} s; if that comes often, raise checkpoint.every_steps"
            )
        if len(self._failures) >= MAX_FAILED_IN_A_ROW:
            raise self._failures[-1]

    def _join(self) -> None:
        if self._saving:
            self._saving.join()
            self._saving = None
        if self._error:
            raise self._error

    def _save(self, save: Save, tensors: dict[str, torch.Tensor], held_up_s: float) -> None:
        began = time.monotonic()
        try:
            if self._metrics:
                self._metrics.publish()  # a run that resumes from this checkpoint finds them up to it
            with lost_ranks_explained():
                url = save.together(self._mesh, tensors)
        except SaveFailedError as error:
            self._failures.append(error)
            self._best_effort.report(
                f"the checkpoint of step {save.state.step} was not saved: {error} ({len(self._failures)} in a row; "
                f"{MAX_FAILED_IN_A_ROW} end the run)"
            )
        except BaseException as error:
            self._error = error  # raised where the ranks meet next
        else:
            self._failures.clear()
            if self._mesh.is_leader:
                self._saved(save.state.step, url)
                if said := self._timer.measured(held_up_s, time.monotonic() - began):
                    self._best_effort.report(said)

    def _saved(self, step: int, url: str) -> None:
        """Report the checkpoint, and prune old ones."""
        self._best_effort.report(CheckpointSaved(step, url))
        with self._best_effort.trying("removal of old checkpoints"):
            prune(self._run_url, self._settings.keep_last, self._settings.keep_every, self._verified)

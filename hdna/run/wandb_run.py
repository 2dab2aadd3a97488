"""A run in Weights & Biases. The door to wandb."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from hdna.run.provenance import code_commit
from hdna.run.scalars import scalars
from hdna.run.status import DONE
from hdna.run.step_record import StepRecord
from hdna.run.tracking import DEFAULT_PROJECT, LAST_CALL_S, TrackedRun
from hdna.run.utc import unix_seconds, utc_now


class WandbRun:
    """W&B's run of the same id.

    Online, it goes on after the last step that W&B has. Offline, every start writes a folder with all steps: of several
    folders of one run that `wandb sync` uploads, W&B keeps the last (github.com/wandb/wandb/issues/3841).
    """

    def __init__(self, run: TrackedRun) -> None:
        """Raises what wandb does when it has no key, or its server is out of reach."""
        self._settings = run.settings
        self._run = wandb.init(
            project=run.project or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT,
            id=run.id,
            name=run.name,
            resume="allow",
            dir=None if os.environ.get("WANDB_DIR") else str(run.folder),
            config=_nested(run.settings) | {"commit": code_commit()},
            allow_val_change=True,
            reinit="create_new",
            # The worker's output is Ray's to keep. Nor does wandb hold up the end of the process for longer.
            settings=wandb.Settings(silent=True, console="off", init_timeout=LAST_CALL_S, finish_timeout=LAST_CALL_S),
        )

    @property
    def where(self) -> str:
        """The run's page; offline, the command that uploads it."""
        if self._run.offline:
            return f"offline; to upload it: wandb sync {self._run.settings.sync_dir}"
        return str(self._run.url)

    def log(self, records: Sequence[StepRecord]) -> None:
        """Hand the curves to wandb's own process, which sends them."""
        for record in records:
            if record.step >= self._run.starting_step:
                time = {"_timestamp": unix_seconds(record.time or utc_now())}
                self._run.log(scalars(record, self._settings) | time, step=record.step, commit=True)

    def end(self, status: str) -> None:
        """Wait until all is sent. W&B shows a run that was stopped as failed, until it goes on."""
        self._run.finish(exit_code=0 if status == DONE else 1)
        wandb.teardown()  # its process ends: only then are offline files whole


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as mappings in mappings, which W&B shows under dotted keys: it wants none with dots."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        node, (*path, name) = tree, key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    return tree

"""A run with two checkpoints, the newer of which has the faults; it is resumed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from faults.sets import name_a_file_elsewhere
from faults.subject import HARMLESS, NOT_COMMITTED, PASSED_OVER, REFUSED, TAKEN, Forgeries, Subject
from safetensors.torch import load, save
from support.manifests import Change, edit_listed, edit_manifest, write_listed

from hdna.checkpoint import (
    LoadedCheckpoint,
    RunState,
    checkpoint_url,
    commit_checkpoint,
    load_checkpoint,
    load_weights,
    newest_intact,
    prune,
    write_checkpoint_part,
)
from hdna.config import load_recipe
from hdna.errors import InputError
from hdna.model import HyenaDNA
from hdna.train.checkpointing import load_parameters, refuse_unfit

DATA = {"0": "ab" * 32}
"""Checksums of the run's shard sets."""
KINDS = ("parameters", "exp_avg", "exp_avg_sq")
EMBEDDING = "embedding.weight"
Tensors = dict[str, torch.Tensor]


class CheckpointManifest(Subject):
    """Faults to the manifest of the newer one."""

    row = "checkpoint: `MANIFEST.json`"

    def make(self) -> None:
        self.config = load_recipe("quickstart", [f"run.url={self.home}", "model.d_model=4", "model.n_layer=1"])
        self.model = HyenaDNA(self.config.model)
        for step in (1, 2):
            self.save(step)
        self.meaning = meaning(load_checkpoint(str(self.newest)))

    @property
    def home(self) -> Path:
        return self.root / "run"

    @property
    def newest(self) -> Path:
        """The newer checkpoint."""
        return Path(checkpoint_url(str(self.home), 2, 0))

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.newest / "MANIFEST.json"

    def files(self) -> list[Path]:
        return [self.manifest]

    def save(self, step: int) -> None:
        """A checkpoint in two parts, whose every number is its step."""
        url, run = checkpoint_url(str(self.home), step, 0), self.config
        names = sorted(self.model.state_dict())
        parts = [
            {f"{kind}.{name}": torch.full_like(self.model.state_dict()[name], step) for kind in KINDS for name in half}
            for half in (names[::2], names[1::2])
        ]
        entries = [write_checkpoint_part(url, number, 2, part) for number, part in enumerate(parts)]
        tokens = step * run.optim.global_batch_tokens
        state = RunState(step, tokens, updates=step, seed=run.run.seed, recipe="its text", data=DATA)
        commit_checkpoint(str(self.home), state, 0, entries)

    def read(self) -> str:
        ref, passed_over = newest_intact(str(self.home))
        assert ref is not None
        if ref.step == 1:
            return self.older(passed_over)
        saved = load_checkpoint(ref.url)
        refuse_unfit(saved, self.config, DATA)
        load_parameters(self.model, saved)
        return HARMLESS if meaning(saved) == self.meaning else TAKEN

    def older(self, passed_over: list[str]) -> str:
        """The older one is taken, and kept, and no one gets the newer one's weights."""
        assert load_weights(str(self.home))[EMBEDDING].unique().tolist() == [1.0]
        assert prune(str(self.home), keep_last=1) == []
        with pytest.raises(InputError, match=str(self.newest) if passed_over else "not a committed checkpoint"):
            load_checkpoint(str(self.newest))
        for reason in passed_over:
            assert reason.isprintable() and str(self.newest) in reason
        return PASSED_OVER if passed_over else NOT_COMMITTED

    def forgeries(self) -> Forgeries:
        edit = partial(edit_manifest, self.manifest)
        (first,) = self.newest.glob("part-00000-*")
        return {
            REFUSED: {
                "another step": partial(edit, lambda body: body.update(step=3)),
                "a part left out": partial(edit, lambda body: body["files"].pop(first.name)),
            },
            PASSED_OVER: {
                "another format": partial(edit, lambda body: body.update(format="hdna-shards")),
                "a file elsewhere": partial(edit, name_a_file_elsewhere),
            },
        }


class CheckpointFiles(CheckpointManifest):
    """Faults to the files that it lists."""

    row = "checkpoint: parts, `state.json`"

    def files(self) -> list[Path]:
        return sorted(path for path in self.newest.iterdir() if path != self.manifest)

    def forgeries(self) -> Forgeries:
        moment, parameters = f"exp_avg.{EMBEDDING}", f"parameters.{EMBEDDING}"
        state = self.edit_state
        return {
            REFUSED: {
                "tokens of another step": partial(state, lambda body: body.update(tokens=1)),
                "another seed": partial(state, lambda body: body.update(seed=9)),
                "other data": partial(state, lambda body: body.update(data={"0": "cd" * 32})),
                "more updates than steps": partial(state, lambda body: body.update(updates=3)),
                "another step": partial(state, lambda body: body.update(step=3)),
                "no moment": partial(self.edit_part, lambda part: part.pop(moment)),
                "another precision": partial(self.edit_part, lambda part: part.update({moment: part[moment].half()})),
                "another model": partial(self.edit_part, longer_embedding),
            },
            TAKEN: {"other numbers": partial(self.edit_part, lambda part: part[parameters].add_(1))},
        }

    def edit_state(self, change: Change) -> None:
        """Change the state, and make the manifest fit."""
        edit_listed(self.manifest, "state.json", change)

    def edit_part(self, change: Callable[[Tensors], object]) -> None:
        """Change the tensors of the part with the embedding, and make the manifest fit."""
        for path in self.newest.glob("part-*"):
            tensors = load(path.read_bytes())
            if f"parameters.{EMBEDDING}" in tensors:
                change(tensors)
                write_listed(self.manifest, path.name, save(tensors))


def longer_embedding(tensors: Tensors) -> None:
    """A row more, also of its moments."""
    for kind in KINDS:
        name = f"{kind}.{EMBEDDING}"
        tensors[name] = torch.cat([tensors[name], tensors[name][:1]])


def meaning(saved: LoadedCheckpoint) -> tuple[object, RunState]:
    """All of a checkpoint, to be compared."""
    numbers = {kind: {name: t.tolist() for name, t in tensors.items()} for kind, tensors in saved.tensors.items()}
    return numbers, saved.state

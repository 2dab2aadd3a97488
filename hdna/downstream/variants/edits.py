"""An allele in a window, and which tokens its likelihood is of.

Shapes: L window, E edits, A horizon: positions scored.

Reference and alternative are compared over the same positions, [start, start + A), so that an insertion or deletion
does not score by its length: after a deletion the edited window reads that much further into the reference, after an
insertion less far. A position where either has a token other than A, C, G and T counts in neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hdna.genome.alphabet import A, T

Tokens = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Edit:
    """An allele in a window: tokens [start, start + removed) are replaced by `inserted`."""

    start: int
    """Position in the window, at least 1: the first token of a window is not predicted."""
    removed: int
    inserted: Tokens
    """May be empty."""

    def sequence(self, window_L: Tokens, horizon: int) -> Tokens:
        """The edited window's tokens at [start, start + horizon)."""
        after = self.start + self.removed
        return np.concatenate([self.inserted, window_L[after : after + horizon]])[:horizon]

    def stop(self, horizon: int) -> int:
        """Where the part of the reference window ends that a comparison over the horizon reads."""
        return self.start + horizon + max(0, self.removed - len(self.inserted))


@dataclass(frozen=True)
class Compared:
    """What some edits' likelihoods are of: int64 and bool tensors."""

    starts_E: Tensor
    reference_EA: Tensor
    """Tokens of the window."""
    alternative_EA: Tensor
    """Tokens of the edited windows."""
    counted_EA: Tensor
    """Where both are bases."""

    def sums(self, found_EA: Tensor) -> Tensor:
        """Nats (E,) of log probabilities (E, A): fp64 sums over the positions that count."""
        return (found_EA.double() * self.counted_EA).sum(-1)


def refuse_misfits(window_L: Tokens, edits: Sequence[Edit], horizon: int) -> None:
    """Raise ValueError when the window lacks an edit's place, or reference enough after it.

    Whoever makes windows shortens the horizon, of both, or leaves the edit out.
    """
    for edit in edits:
        if edit.start < 1 or edit.removed < 0 or horizon < 1 or edit.stop(horizon) > len(window_L):
            raise ValueError(f"{edit} over {horizon} tokens does not fit in a window of {len(window_L)}")


def compared(window_L: Tokens, edits: Sequence[Edit], horizon: int, device: torch.device) -> Compared:
    """What is compared for each edit, on a device."""
    starts_E = torch.tensor([edit.start for edit in edits], dtype=torch.int64, device=device)
    reference_EA, alternative_EA = (
        torch.from_numpy(np.array(rows, dtype=np.int64).reshape(len(edits), horizon)).to(device)
        for rows in (
            [window_L[edit.start : edit.start + horizon] for edit in edits],
            [edit.sequence(window_L, horizon) for edit in edits],
        )
    )
    return Compared(starts_E, reference_EA, alternative_EA, _is_base(reference_EA) & _is_base(alternative_EA))


def _is_base(tokens: Tensor) -> Tensor:
    return (tokens >= A) & (tokens <= T)

"""Alleles by whole passes of the model: slow, and what `differences` is held against.

Shapes: L window, E edits, R rows of one pass, A horizon, V vocabulary rows.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hdna.downstream.metrics import Floats
from hdna.downstream.variants.edits import Edit, Tokens, compared, refuse_misfits
from hdna.model import HyenaDNA

TOKENS = 2**17
"""Of one pass, by default."""


def by_full_pass(
    model: HyenaDNA, window_L: Tokens, edits: Sequence[Edit], horizon: int, rows: int | None = None
) -> tuple[Floats, Floats]:
    """Log likelihoods (E,) in nats of the reference and of each edit over `horizon` tokens from the edit on.

    Args:
        model: in eval mode; where it lies, the passes run.
        window_L: tokens, up to one more than the model's l_max, with as much after each edit as `Edit.stop` says.
        edits: at any positions, each on its own.
        horizon: tokens scored, from the first one that an edit replaces on.
        rows: windows of one pass; by default as many as make up `TOKENS`.

    Raises ValueError when an edit does not fit (`refuse_misfits`), InputError when the window is longer than the
    model's context.

    """
    refuse_misfits(window_L, edits, horizon)
    if not edits:
        return np.zeros(0), np.zeros(0)
    device = model.embedding.weight.device
    # A token is predicted by those before it: the last scored one is no input.
    stop = max(edit.start for edit in edits) + horizon - 1
    rows = rows or max(1, TOKENS // max(1, stop))
    found: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        reference_1LV = _log_probabilities(model, window_L[None, :stop])
        for first in range(0, len(edits), rows):
            some = compared(window_L, edits[first : first + rows], horizon, device)
            edited_RL = np.stack([_edited(window_L, edit, stop) for edit in edits[first : first + rows]])
            before_RA = some.starts_E[:, None] + torch.arange(-1, horizon - 1, device=device)
            row_R1 = torch.arange(len(edited_RL), device=device)[:, None]
            alternative_RLV = _log_probabilities(model, edited_RL)
            found.append(
                (
                    some.sums(reference_1LV[0, before_RA, some.reference_EA]),
                    some.sums(alternative_RLV[row_R1, before_RA, some.alternative_EA]),
                )
            )
    reference_E, alternative_E = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return reference_E, alternative_E


def _log_probabilities(model: HyenaDNA, tokens_RL: Tokens) -> Tensor:
    """(R, L, V) of the token after each."""
    tokens = torch.from_numpy(tokens_RL.astype(np.int64)).to(model.embedding.weight.device)
    return torch.log_softmax(model(tokens), -1)


def _edited(window_L: Tokens, edit: Edit, stop: int) -> Tokens:
    """The edited window's first `stop` tokens; any at all where it ends before: what follows does not matter."""
    edited = np.concatenate([window_L[: edit.start], edit.inserted, window_L[edit.start + edit.removed :]])[:stop]
    return np.pad(edited, (0, stop - len(edited)))

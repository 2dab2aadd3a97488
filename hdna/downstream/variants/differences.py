"""Alleles by differences from one pass over their window: exact, at a cost that does not depend on the context.

Shapes: L window, S kept span, E edits, R rows of a batch, A horizon, T = A - 1 positions of an allele that are inputs,
D = d_model.

The model is causal: an edit at v changes hidden states only from v on. Block after block, an allele therefore needs
positions [v, v + T) alone: the short convolution takes the two positions before them from the reference, and of a
long convolution y_alternative = y_reference + k * (u_alternative - u_reference), where the difference is zero before
v, so that k is needed on [0, T) and a transform of 2T points is exact. All else is per position.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hdna.downstream.metrics import Floats
from hdna.downstream.variants.allele_block import through, through_first
from hdna.downstream.variants.edits import Compared, Edit, Tokens, compared, refuse_misfits
from hdna.downstream.variants.window_pass import WindowPass, log_probabilities, window_pass
from hdna.model import HyenaDNA
from hdna.ops.short_conv import REACH

CPU_NUMBERS, CUDA_NUMBERS = 2**21, 2**26
"""Of a batch's largest tensor, the hidden layer of the MLP, which takes 8 MiB on a CPU; what lives beside it takes as
much again. glibc would fetch larger ones from the system anew each time."""

SHORT = 16
"""Tokens of the longest substitution whose first convolution is by shifted filters, one for each."""


def by_differences(model: HyenaDNA, window_L: Tokens, edits: Sequence[Edit], horizon: int) -> tuple[Floats, Floats]:
    """Log likelihoods (E,) in nats of the reference and of each edit over `horizon` tokens from the edit on.

    The same figures as `by_full_pass`, by one pass over the window for all edits. Memory: that pass, what it keeps
    (`window_pass`) from the first edit to the last, and a batch of alleles (`CPU_NUMBERS`).

    Args:
        model: in eval mode, on one device; no other thread may use it meanwhile.
        window_L: tokens, up to one more than the model's l_max, with as much after each edit as `Edit.stop` says.
        edits: at any positions, each on its own; best with those of one window together.
        horizon: tokens scored, from the first one that an edit replaces on.

    Raises ValueError when an edit does not fit (`refuse_misfits`), InputError when the window is longer than the
    model's context.

    """
    refuse_misfits(window_L, edits, horizon)
    reference_E, alternative_E = np.zeros(len(edits)), np.zeros(len(edits))
    if not edits:
        return reference_E, alternative_E
    device = model.embedding.weight.device
    first = max(0, min(edit.start for edit in edits) - REACH)
    # A token is predicted by those before it: the last scored one is no input.
    stop = max(edit.start for edit in edits) + horizon - 1
    with torch.no_grad():
        kept = window_pass(model, torch.from_numpy(window_L[:stop].astype(np.int64)).to(device), first, horizon - 1)
        for number_R, substituted in _batches(model, edits, horizon):
            some = compared(window_L, [edits[number] for number in number_R], horizon, device)
            before_RA = some.starts_E[:, None] - first + torch.arange(-1, horizon - 1, device=device)
            reference_RA = kept.log_probabilities_SV[before_RA, some.reference_EA]
            reference_E[number_R] = some.sums(reference_RA).cpu().numpy()
            alternative_RA = _alternative(model, kept, some, substituted)
            alternative_E[number_R] = some.sums(alternative_RA).cpu().numpy()
    return reference_E, alternative_E


def _batches(model: HyenaDNA, edits: Sequence[Edit], horizon: int) -> Iterator[tuple[list[int], int]]:
    """Numbers of edits that are computed at once, and how many tokens each replaces by as many; 0: by any number."""
    alike: dict[int, list[int]] = defaultdict(list)
    for number, edit in enumerate(edits):
        same_length = edit.removed == len(edit.inserted) <= SHORT and model.config.order == 2
        alike[edit.removed if same_length else 0].append(number)
    numbers = CPU_NUMBERS if model.embedding.weight.device.type == "cpu" else CUDA_NUMBERS
    rows = max(1, numbers // (horizon * model.config.mlp_width))
    for substituted, all_R in alike.items():
        for begin in range(0, len(all_R), rows):
            yield all_R[begin : begin + rows], substituted


def _alternative(model: HyenaDNA, kept: WindowPass, some: Compared, substituted: int) -> Tensor:
    """Log probabilities (R, A) of the alleles' tokens."""
    tokens_RA, starts_R = some.alternative_EA, some.starts_E - kept.first
    found_RA = kept.log_probabilities_SV[starts_R - 1, tokens_RA[:, 0]][:, None]
    if tokens_RA.shape[1] == 1:
        return found_RA
    x_RTD = model.embedding(tokens_RA[:, :-1])
    for number, block in enumerate(kept.blocks):
        if substituted and not number:
            x_RTD = through_first(block, kept.gate_DS, starts_R, x_RTD, substituted)
        else:
            x_RTD = through(block, starts_R, x_RTD)
    rest_RTV = log_probabilities(model, x_RTD)
    return torch.cat([found_RA, rest_RTV.gather(-1, tokens_RA[:, 1:, None]).squeeze(-1)], 1)

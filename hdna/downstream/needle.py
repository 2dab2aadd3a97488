"""`hdna eval needle`: can the model use what it read far back? A unit repeated at a distance, against a control.

    copied   unit                     | held-out sequence | unit     scored: the second unit
    control  the unit's bases shuffled | the same          | the same
             <------------- distance ------------------->

The sequence begins with the first unit, so that nothing but the two units and what lies between them is read. The two
differ in the order of the first unit's bases alone: the gain, bits per base in the control minus those where the unit
is copied, is what the model owes to having read it. It cannot know that a copy begins until several bases of it have
been seen (log4 of the distance, at the least), so that the whole unit has less gain than its second half.

Shapes: N copies, U bases of a unit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from hdna.data.order import Crop
from hdna.downstream.context_score import Logits
from hdna.downstream.evidence import Cost, measured
from hdna.downstream.held_out import HeldOut, window_lengths
from hdna.downstream.metrics import Floats
from hdna.downstream.subject import Subject
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.progress import progress

Tokens = npt.NDArray[np.uint8]
Backgrounds = Callable[[np.random.Generator, int, int], Tokens]
"""So many stretches of so many bases."""

_POSITIONS = 1 << 15
"""Of a forward pass, if it has several sequences."""
_BASES = np.arange(alphabet.A, alphabet.T + 1, dtype=np.uint8)
_SEED = 13


@dataclass(frozen=True)
class Needle:
    """What was found at one distance."""

    distance: int
    """Bases from the beginning of the first unit to that of the second."""
    copied_NU: Floats
    """Bits of each base of the second unit."""
    control_NU: Floats


def find_needles(subject: Subject, held_out: HeldOut, unit: int, copies: int) -> tuple[list[Needle], Cost]:
    """Score `copies` pairs at each distance, the same every time.

    Raises InputError when the unit is too long for the model, or for the windows.
    """
    lengths = [window_lengths(reader) for reader in held_out.readers]
    furthest = min(subject.config.model.l_max + 1 - unit, max(int(bases.max()) for bases in lengths) + unit)
    distances = needle_distances(unit, furthest)
    positions = sum(2 * copies * (distance + unit - 1) for distance in distances)
    backgrounds, found = _backgrounds(held_out, np.concatenate(lengths)), []
    with measured(subject.device) as cost, progress(positions, "scoring", "positions") as advance:
        cost.bases = positions
        for distance in distances:
            rng = np.random.default_rng((_SEED, distance))
            pairs = needle_pairs(rng, backgrounds(rng, copies, distance - unit), unit)
            bits = [_bits(subject.model, sequences, unit, subject.device, advance) for sequences in pairs]
            found.append(Needle(distance, *bits))
    return found, cost


def needle_distances(unit: int, furthest: int) -> list[int]:
    """From twice the unit, doubling, and the furthest. Raises InputError when that is nearer."""
    if furthest < 2 * unit:
        raise InputError(
            f"--unit {unit}: {unit + furthest - 1:,} bases of context, or of a window with units around it, hold no "
            f"two units with another between them: want {max(1, (unit + furthest) // 3)} at most"
        )
    doublings = range((furthest // (2 * unit)).bit_length())
    return sorted({2 * unit << doubling for doubling in doublings} | {furthest})


def needle_pairs(rng: np.random.Generator, background_NB: Tokens, unit: int) -> tuple[Tokens, Tokens]:
    """Sequences with a unit of random bases copied, and their controls: (N, U + B + U) each."""
    unit_NU = rng.choice(_BASES, (len(background_NB), unit))
    shuffled_NU = rng.permuted(unit_NU, axis=1)
    return (
        np.concatenate([unit_NU, background_NB, unit_NU], axis=1),
        np.concatenate([shuffled_NU, background_NB, unit_NU], axis=1),
    )


def _bits(
    model: Logits, sequences: Tokens, unit: int, device: torch.device, advance: Callable[[float], None]
) -> Floats:
    """Bits of the last `unit` bases of sequences: (N, U)."""
    positions, parts = sequences.shape[1] - 1, []
    for rows in torch.from_numpy(sequences).split(max(1, _POSITIONS // positions)):
        ids = rows.to(device).long()
        with torch.no_grad():
            logits = model(ids[:, :-1])[:, -unit:].float()
        nats = F.cross_entropy(logits.transpose(1, 2), ids[:, -unit:], reduction="none")
        parts.append(nats.double().cpu().numpy() / np.log(2))
        advance(len(rows) * positions)
    return np.concatenate(parts)


def _backgrounds(held_out: HeldOut, lengths: npt.NDArray[np.int64]) -> Backgrounds:
    """Stretches of held-out windows, every place alike; N and other codes in them are replaced by random bases."""
    firsts = np.cumsum([0, *(len(reader) for reader in held_out.readers)])

    def draw(rng: np.random.Generator, copies: int, bases: int) -> Tokens:
        places = np.cumsum(np.maximum(lengths - bases + 1, 0))
        rows = np.empty((copies, bases), np.uint8)
        for row, place in zip(rows, np.sort(rng.integers(places[-1], size=copies)), strict=True):
            window = int(np.searchsorted(places, place, side="right"))
            number = int(np.searchsorted(firsts, window, side="right")) - 1
            offset = int(place - places[window] + lengths[window] - bases + 1)
            row[:], _ = held_out.readers[number].read(Crop(window - int(firsts[number]), offset, "+"), bases)
        return np.where(np.isin(rows, _BASES), rows, rng.choice(_BASES, rows.shape))

    return draw

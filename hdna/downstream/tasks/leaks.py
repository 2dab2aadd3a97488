"""Test rows that were seen before: among the train rows, and in what the model was pretrained on.

Exact duplicates are found by the letters, on either strand; others by the sketch of `hdna prep member`: a row of which
a share c of the sampled k-mers is found has identity c^(1/K) to what has them. All of the other rows, or all windows
of the train split, count together: a row that two train rows cover between them is found.
Shapes: N test rows, U different k-mers of all test rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Floats
from hdna.downstream.tasks.held_out import either_strand
from hdna.genome import alphabet
from hdna.genome.packing import Bytes
from hdna.genome.shard_set import ShardSet
from hdna.progress import progress
from hdna_prep.kmers import K, each_once, sampled_kmers
from hdna_prep.member import BANDS, MIN_KMERS
from hdna_prep.query import SAMPLED
from hdna_prep.train_split import train_batches, train_shards

LONG_ROWS = 5000
"""Bases; of rows that are longer in the median, one k-mer in SAMPLED is compared, of shorter ones all."""
_BATCH_BASES = 1 << 20

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leaks:
    """What was found of the test rows."""

    identity_N: Floats
    """To what they were compared with, 1 for duplicates; 0 where nothing was found, NaN where too short to compare."""
    exact_N: Flags | None
    """Which are there letter by letter; None where that was not looked for."""

    @property
    def found_N(self) -> Flags:
        """Rows at the lowest of BANDS or more: those that a score should do without."""
        return self.identity_N >= BANDS[-1]

    def counts(self) -> dict[str, Any]:
        """{"exact", "0.99", "0.95", "0.90", "not_compared"}: rows; each band with those above it."""
        exact = {} if self.exact_N is None else {"exact": int(self.exact_N.sum())}
        bands = {f"{band:.2f}": int((self.identity_N >= band).sum()) for band in BANDS}
        return exact | bands | {"not_compared": int(np.isnan(self.identity_N).sum())}


def leaks_from_rows(test: Sequence[Bytes], train: Sequence[Bytes]) -> Leaks:
    """Test rows among train rows (the valid ones too: a method chose by them)."""
    seen = {either_strand(own) for own in train}
    exact = np.array([either_strand(own) in seen for own in test], np.bool_)
    identity = _identities(test, lambda: _joined(train))
    return Leaks(np.where(exact, 1.0, identity), exact)


def leaks_from_sets(test: Sequence[Bytes], sets: Sequence[ShardSet]) -> Leaks:
    """Test rows in the train split of shard sets. Raises InputError for damaged or missing shards."""
    size = sum(shard.bytes for shard_set in sets for shard in train_shards(shard_set))

    def windows() -> Iterator[Bytes]:
        with progress(size, "looking for test rows in the pretraining set", "bytes") as advance:
            for shard_set in sets:
                yield from (batch.tokens for batch in train_batches(shard_set, advance))

    return Leaks(_identities(test, windows), None)


def _identities(test: Sequence[Bytes], others: Callable[[], Iterable[Bytes]]) -> Floats:
    """(N,) of each test row to all others together; NaN where it has too few k-mers to tell."""
    one_in = SAMPLED if np.median([len(own) for own in test]) > LONG_ROWS else 1
    rows, kmers = _row_kmers(test, one_in)
    known_U, place = np.unique(kmers, return_inverse=True)
    found_U = np.zeros(len(known_U), np.bool_)
    for tokens in others():
        found_U[_places(known_U, sampled_kmers(tokens, one_in)[1])] = True
    sizes, hits = (np.bincount(rows, weights, minlength=len(test)) for weights in (None, found_U[place]))
    return np.where(sizes >= MIN_KMERS, (hits / np.maximum(sizes, 1)) ** (1 / K), np.nan)


def _row_kmers(tokens: Sequence[Bytes], one_in: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """The sampled k-mers of each row, each once: rows' numbers, and k-mers."""
    numbers, found, first = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], 0
    for batch, ends in _batches(tokens):
        positions, kmers = sampled_kmers(batch, one_in)
        rows, kmers = each_once(np.searchsorted(ends, positions, side="right"), kmers)
        numbers.append(rows + first)
        found.append(kmers)
        first += len(ends)
    return np.concatenate(numbers), np.concatenate(found)


def _places(known_U: npt.NDArray[np.uint64], kmers: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where those k-mers that are known are among the known ones, which ascend."""
    if not known_U.size:
        return np.empty(0, np.int64)
    kmers = np.unique(kmers)  # ascending, so that the search walks through memory
    places = np.minimum(np.searchsorted(known_U, kmers), known_U.size - 1)
    known: npt.NDArray[np.int64] = places[known_U[places] == kmers]
    return known


def _joined(tokens: Sequence[Bytes]) -> Iterator[Bytes]:
    return (batch for batch, _ in _batches(tokens))


def _batches(tokens: Sequence[Bytes]) -> Iterator[tuple[Bytes, npt.NDArray[np.int64]]]:
    """Rows one after another, each followed by an N, in batches; and where each ends, its N included."""
    taken, bases, gap = list[Bytes](), 0, np.array([alphabet.N], np.uint8)
    for number, own in enumerate(tokens, start=1):
        taken += [own, gap]
        bases += len(own) + 1
        if bases >= _BATCH_BASES or number == len(tokens):
            yield np.concatenate(taken), np.cumsum([len(row) + 1 for row in taken[::2]])
            taken, bases = [], 0

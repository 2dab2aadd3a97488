"""Taking turns: which of several kinds each of a row of steps or samples is, with exact shares within a period."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def exact_shares(weights: Sequence[float], period: int) -> IntArray:
    """Whole numbers that add up to `period`, nearest to the weights' shares of it (largest remainders)."""
    exact = np.asarray(weights) / sum(weights) * period
    share = np.floor(exact).astype(np.int64)
    share[np.argsort(-(exact - share), kind="stable")[: period - share.sum()]] += 1
    return share


class Turns:
    """An endless row of kinds, evenly spread: after n steps each has had its share of them to within one step or so.

    Each step goes to the kind that is furthest behind its share, the first of them if several are.
    """

    def __init__(self, weights: Sequence[float], period: int) -> None:
        self._shares = exact_shares(weights, period)
        owed = np.zeros_like(self._shares)
        self._kinds: list[int] = []
        for _ in range(period):
            owed += self._shares
            kind = int(owed.argmax())
            owed[kind] -= period
            self._kinds.append(kind)

    def kind(self, step: int) -> int:
        """The kind of a step, counted from 0."""
        return self._kinds[step % len(self._kinds)]

    def count(self, kind: int, steps: int) -> int:
        """How many of the first `steps` are of a kind."""
        periods, rest = divmod(steps, len(self._kinds))
        return periods * int(self._shares[kind]) + self._kinds[:rest].count(kind)

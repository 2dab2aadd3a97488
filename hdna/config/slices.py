"""How sequence ranks split a sample: integers only, so that a recipe can be checked before anything starts."""

from math import isqrt

from hdna.errors import InputError

MIN_SLICE = 2
"""Positions: the short convolution's three taps reach two positions back, into one neighbour and no further."""


def divisors(n: int) -> list[int]:
    """The divisors of n >= 1, ascending."""
    small = [d for d in range(1, isqrt(n) + 1) if n % d == 0]  # a count of workers may be mistyped: up to its root only
    return sorted({*small, *(n // d for d in small)})


def slice_length(context_length: int, sequence_parallel: int) -> int:
    """Positions of each rank's slice.

    Raises InputError naming the nearest valid context lengths when the ranks cannot split this one equally.
    """
    shortest = sequence_parallel * MIN_SLICE if sequence_parallel > 1 else 1
    if context_length % sequence_parallel == 0 and context_length >= shortest:
        return context_length // sequence_parallel
    below = context_length // sequence_parallel * sequence_parallel
    near = sorted({max(length, shortest) for length in (below, below + sequence_parallel)})
    raise InputError(
        f"context_length={context_length} cannot be cut into {sequence_parallel} equal slices of at least "
        f"{MIN_SLICE} positions: the nearest lengths that can are {' and '.join(map(str, near))}"
    )

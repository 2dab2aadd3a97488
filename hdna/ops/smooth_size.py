"""Sizes at which an FFT is fast."""


def smooth_size(n: int) -> int:
    """Return the smallest FFT size 2^a * {1, 3, 5, 9, 15} of at least n (n >= 1)."""
    return min(m << max(0, (-(-n // m) - 1).bit_length()) for m in (1, 3, 5, 9, 15))

"""How long an answer from a bucket is waited for, and how often a request is made again: the numbers, in one place."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import uniform


@dataclass(frozen=True)
class Retry:
    """Times in seconds."""

    retries: int = 8
    """Requests made again after the first, each after a longer pause."""
    first_pause: float = 0.2
    longest_pause: float = 15.0
    total: float = 300.0
    """No request is made again once so long has passed since the first."""
    connect: float = 10.0
    silence: float = 60.0
    """A connection on which nothing comes for so long is broken."""
    slowest: int = 1 << 19
    """Bytes a second; a sender slower than this is taken for a broken connection."""
    downloads: int = 3
    """Times a file is fetched before its wrong checksum is believed."""

    def pauses(self) -> Iterator[float]:
        """The pause before each further request: doubling, and random, so that workers do not return together."""
        for turn in range(self.retries):
            yield uniform(0.5, 1) * min(self.longest_pause, self.first_pause * 2**turn)

    def patience(self, sending: int) -> float:
        """Seconds of silence allowed while a request of that many bytes is sent; one of few values."""
        return next(self.silence * 2**turn for turn in count() if self.silence * 2**turn * self.slowest >= sending)


RETRY = Retry()

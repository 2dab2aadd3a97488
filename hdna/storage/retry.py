"""Bucket timeouts and retries: all the numbers in one place."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import uniform


@dataclass(frozen=True)
class Retry:
    """Times in seconds."""

    retries: int = 8
    """Retries of a failed request, each after a longer pause."""
    first_pause: float = 0.2
    longest_pause: float = 15.0
    total: float = 300.0
    """No request is retried this long after its first attempt."""
    connect: float = 10.0
    silence: float = 60.0
    """A connection that delivers nothing for this long is considered broken."""
    slowest: int = 1 << 19
    """Bytes per second; an upload slower than this is considered a broken connection."""
    downloads: int = 3
    """Fetches of a file before a checksum mismatch is accepted as damage."""

    def pauses(self) -> Iterator[float]:
        """The pause before each retry: doubling, with jitter so that workers do not retry in step."""
        for attempt in range(self.retries):
            yield uniform(0.5, 1) * min(self.longest_pause, self.first_pause * 2**attempt)

    def patience(self, request_bytes: int) -> float:
        """Allowed seconds of silence while sending that many bytes, rounded up so that few stores are opened."""
        steps = (self.silence * 2**attempt for attempt in count())
        return float(next(seconds for seconds in steps if seconds * self.slowest >= request_bytes))


RETRY = Retry()

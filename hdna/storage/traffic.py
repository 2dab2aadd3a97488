"""Bytes that this process has moved from and to buckets."""

import threading


class Traffic:
    """Two sums, counted by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = self._written = 0

    def count(self, read: int = 0, written: int = 0) -> None:
        """Add what one request moved, without its headers and its failed attempts."""
        with self._lock:
            self._read += read
            self._written += written

    def taken(self) -> tuple[int, int]:
        """Bytes read and written since the last call."""
        with self._lock:
            sums = self._read, self._written
            self._read = self._written = 0
        return sums


TRAFFIC = Traffic()
"""Of this process."""

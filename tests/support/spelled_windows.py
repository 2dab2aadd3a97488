"""Windows for tests that spell their bases out."""

import numpy as np

from hdna.data.order import Crop
from hdna.data.stream import Rows, WindowReader
from hdna.genome import alphabet


class Windows(WindowReader):
    """Windows given as strings of bases."""

    def __init__(self, *windows: str) -> None:
        self._windows = [np.array([getattr(alphabet, base) for base in window], dtype=np.uint8) for window in windows]

    def __len__(self) -> int:
        return len(self._windows)

    def bases(self, window: int) -> int:
        return len(self._windows[window])

    def read(self, crop: Crop, bases: int) -> Rows:
        assert crop.strand == "+" and crop.offset + bases <= self.bases(crop.window)
        return self._windows[crop.window][crop.offset : crop.offset + bases], None

"""Intervals on an assembly."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Interval:
    """A stretch of one contig: 0-based, half-open, like BED and Python slices.

    `strand` is "+" or "-"; "-" means the reverse complement of the same bases.
    """

    contig: str
    start: int
    end: int
    strand: str = "+"

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"{self.contig}:{self.start}-{self.end} is not an interval: want 0 <= start <= end")
        if self.strand not in ("+", "-"):
            raise ValueError(f'strand of {self.contig}:{self.start}-{self.end} is {self.strand!r}: want "+" or "-"')

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start}-{self.end}({self.strand})"

"""What is left to do of an `hdna eval embed`, for whoever does it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hdna.downstream.embed.embedder import Wanted
from hdna.downstream.embed.messages import pack
from hdna.downstream.embed.parts import Part, PartFiles
from hdna.downstream.embed.sequences import Origin, Sequences
from hdna.downstream.subject import Subject
from hdna.progress import progress


@dataclass(frozen=True)
class Work:
    """Parts whose files are missing."""

    subject: Subject
    wanted: Wanted
    origin: Origin
    sequences: Sequences
    scratch: Path
    """The folder that `sequences` were opened with."""
    left: list[Part]
    files: PartFiles

    @property
    def bases(self) -> int:
        """Of them all."""
        return sum(part.bases for part in self.left)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """The number of each part, and its packed tokens."""
        for part in self.left:
            yield part.number, pack([self.sequences.read(number) for number in range(part.first, part.last)])

    def take(self, answers: Iterator[tuple[int, bytes]]) -> None:
        """Write the parts' files from an `Embedder`'s answers, in any order, and show progress."""
        by_number = {part.number: part for part in self.left}
        with progress(self.bases, "embedding", "bases") as advance:
            for number, data in answers:
                self.files.put(by_number[number], data)
                advance(by_number[number].bases)


Worker = Callable[[Work], None]
"""Does it: afterwards all files are there."""

"""Two ways to write a contig's name: chr1 and 1, chrM and MT."""

from collections.abc import Collection, Mapping

from hdna.errors import InputError
from hdna.genome.store import unknown_contig

_PREFIX = "chr"
_MITOCHONDRIAL = ("M", "MT")
_SHOWN = 3


class ContigNames:
    """Finds the contigs of a genome by the names that another file has for them, and remembers which differ."""

    def __init__(self, genome: str, contigs: Mapping[str, int]) -> None:
        self._genome = genome
        self._contigs = contigs
        self._mapped: dict[str, str] = {}

    def find(self, name: str, where: str) -> str:
        """The genome's name for a contig. Raises InputError, beginning with `where`, for an unknown one."""
        if name in self._contigs:
            return name
        if name not in self._mapped:
            self._mapped[name] = self._other_spelling(name, where)
        return self._mapped[name]

    @property
    def note(self) -> str | None:
        """What to tell the user about names that differ, in a line; None if none does."""
        if not self._mapped:
            return None
        shown = [f"{name} is taken for {own}" for name, own in list(self._mapped.items())[:_SHOWN]]
        more = len(self._mapped) - len(shown)
        return f"{self._genome} names contigs in another way: {', '.join(shown)}" + (
            f", and {more} more" if more else ""
        )

    def _other_spelling(self, name: str, where: str) -> str:
        found = known_as(name, self._contigs)
        if len(found) > 1:
            raise InputError(f"{where}: contig {name!r} may be {' or '.join(found)} of {self._genome}: rename it")
        if not found:
            raise unknown_contig(where, name, list(self._contigs))
        return found[0]


def known_as(name: str, contigs: Collection[str]) -> list[str]:
    """The contigs that may be meant: the one of that name, or else those of its other spellings."""
    return [name] if name in contigs else [other for other in sorted(_spellings(name)) if other in contigs]


def _spellings(name: str) -> set[str]:
    """Other ways to write it."""
    plain = name.removeprefix(_PREFIX)
    plains = _MITOCHONDRIAL if plain in _MITOCHONDRIAL else (plain,)
    return {prefix + one for one in plains for prefix in ("", _PREFIX)} - {name}

"""Alleles of a record, checked against the genome: what can be scored, or why not."""

from dataclasses import dataclass
from typing import Final

from hdna.downstream.contig_names import known_as
from hdna.downstream.variants.edits import Tokens
from hdna.downstream.variants.vcf import Record
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore

SNV, MNV, INSERTION, DELETION = KINDS = ("SNV", "MNV", "insertion", "deletion")

UNKNOWN_CONTIG: Final = "unknown_contig"
OUTSIDE: Final = "outside_contig"
MISMATCH: Final = "ref_mismatch"
NOT_BASES: Final = "not_acgt"
SYMBOLIC: Final = "symbolic"
BREAKEND: Final = "breakend"
SPANNED: Final = "spanning_deletion"
NO_ALTERNATIVE: Final = "no_alternative"
SAME: Final = "same_as_ref"
TOO_LONG: Final = "longer_than_horizon"
AT_END: Final = "at_end_of_contig"
"""Of the two strands, one has no base before the allele, or none after it to compare."""
OTHER_GENOME: Final = (UNKNOWN_CONTIG, OUTSIDE, MISMATCH)
"""Reasons that say that the variants may be of another assembly."""


@dataclass(frozen=True)
class Allele:
    """Bases [start, start + removed) of a contig, replaced by others; what both share at either end is left out."""

    contig: str
    """As the genome calls it."""
    start: int
    removed: int
    inserted: Tokens

    @property
    def kind(self) -> str:
        """One of KINDS, by length alone."""
        added = len(self.inserted) - self.removed
        if added:
            return INSERTION if added > 0 else DELETION
        return SNV if self.removed == 1 else MNV

    @property
    def span(self) -> int:
        """Bases of the longer of what is removed and what is inserted."""
        return max(self.removed, len(self.inserted))

    @property
    def surplus(self) -> int:
        """Bases that a comparison reads further along the reference, since fewer are inserted than removed."""
        return max(0, self.removed - len(self.inserted))

    def on_strand(self, strand: str, length: int) -> "Allele":
        """The same on a strand of its contig of `length` bases, in coordinates along that strand."""
        if strand == "+":
            return self
        start = length - self.start - self.removed
        return Allele(self.contig, start, self.removed, alphabet.reverse_complement(self.inserted))


def contig_name(name: str, genome: GenomeStore) -> str | None:
    """What the genome calls a contig; None if it has none of that name, or two that may be meant."""
    found = known_as(name, genome.contigs)
    return found[0] if len(found) == 1 else None


def alleles_of(record: Record, genome: GenomeStore, horizon: int) -> list[Allele | str]:
    """Each alternative of a record, or the reason why it cannot be scored."""
    contig = contig_name(record.contig, genome)
    if contig is None:
        return [UNKNOWN_CONTIG] * len(record.alts)
    fault = _fault_of_reference(record, contig, genome)
    if fault:
        return [fault] * len(record.alts)
    return [_allele(record, alt, contig, horizon) for alt in record.alts]


def _fault_of_reference(record: Record, contig: str, genome: GenomeStore) -> str | None:
    end = record.start + len(record.ref)
    if record.start < 0 or end > genome.contigs[contig]:
        return OUTSIDE
    if not _is_bases(record.ref):
        return NOT_BASES
    same = (genome.read(Interval(contig, record.start, end)) == alphabet.encode(record.ref)).all()
    return None if same else MISMATCH


def _allele(record: Record, alt: bytes, contig: str, horizon: int) -> Allele | str:
    if not _is_bases(alt):
        return _why_no_bases(alt)
    if alt == record.ref:
        return SAME
    after = _shared(record.ref[::-1], alt[::-1])
    ref, alt = record.ref[: len(record.ref) - after], alt[: len(alt) - after]
    before = _shared(ref, alt)
    allele = Allele(contig, record.start + before, len(ref) - before, alphabet.encode(alt[before:]))
    return TOO_LONG if allele.span > horizon else allele


def _why_no_bases(alt: bytes) -> str:
    if alt == b".":
        return NO_ALTERNATIVE
    if alt == b"*":
        return SPANNED
    if b"[" in alt or b"]" in alt or alt.startswith(b".") or alt.endswith(b"."):
        return BREAKEND
    return SYMBOLIC if alt.startswith(b"<") else NOT_BASES


def _is_bases(letters: bytes) -> bool:
    return not letters.translate(None, b"ACGT")


def _shared(one: bytes, other: bytes) -> int:
    """Length of what two texts begin with alike."""
    shared = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared

"""Substitutions of coding sequence: synonymous or not, with what they are matched by.

Shapes: B bases of a coding sequence, its length a multiple of 3. Codes: A 0, C 1, G 2, T 3, on the gene's strand.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Ints
from hdna.downstream.variants.alleles import Allele
from hdna.downstream.variants.genes import Coding
from hdna.genome import alphabet
from hdna.genome.hashing import permutation
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore

POSITIONS = 1_500
"""That are sampled, from whole genes, since alleles near one another share windows."""
SPACING = 31
"""Bases between sampled positions, so that what lies between can be shuffled; no multiple of 3, or all of a gene's
would have one place in their codons."""

_BASES = "TCAG"
_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
"""The standard genetic code, as NCBI's table 1 writes it: codons in the order of _BASES, the last base fastest."""


def _code() -> npt.NDArray[np.uint8]:
    """(4, 4, 4) the amino acid of each codon."""
    place = [_BASES.index(base) for base in "ACGT"]
    table = np.frombuffer(_AMINO_ACIDS.encode(), np.uint8).reshape(4, 4, 4)
    return table[np.ix_(place, place, place)]


CODE = _code()
_STOP = ord("*")


@dataclass(frozen=True)
class Substitution:
    """Of a coding base."""

    allele: Allele
    gene: str
    synonymous: bool
    stratum: int
    """The trinucleotide around it and the alternative, on the gene's strand, as a number."""


def sampled_substitutions(genes: list[Coding], genome: GenomeStore) -> list[Substitution]:
    """All three alternatives at sampled bases of sampled genes, those of strata with both kinds.

    Left out: positions in several coding sequences, sequences with a stop codon within or with unknown bases.
    """
    seen: dict[str, list[Ints]] = {}
    for gene in genes:
        seen.setdefault(gene.contig, []).append(gene.positions)
    covered = {contig: np.unique(np.concatenate(groups), return_counts=True) for contig, groups in seen.items()}
    found: list[Substitution] = []
    positions = 0
    for number in permutation(len(genes), 0).tolist():
        once, counts = covered[genes[number].contig]
        some = _substitutions(genes[number], genome, once[counts == 1])
        found += some
        positions += len(some) // 3
        if positions >= POSITIONS:
            break
    kinds: dict[int, set[bool]] = {}
    for one in found:
        kinds.setdefault(one.stratum, set()).add(one.synonymous)
    return [one for one in found if len(kinds[one.stratum]) == 2]


def _substitutions(gene: Coding, genome: GenomeStore, once: Ints) -> list[Substitution]:
    """Three for each sampled base of a gene."""
    if not len(gene.positions):
        return []
    codes_B = _codes(gene, genome, 0)
    codons = codes_B.reshape(-1, 3)
    if (codes_B > 3).any() or (CODE[tuple(codons[:-1].T)] == _STOP).any():
        return []
    before_B, after_B = _codes(gene, genome, -1), _codes(gene, genome, 1)
    found: list[Substitution] = []
    last = -SPACING
    order = np.argsort(gene.positions, kind="stable")
    usable = np.isin(gene.positions, once) & (before_B <= 3) & (after_B <= 3)
    for place in order[usable[order]].tolist():
        position = int(gene.positions[place])
        if position - last < SPACING:
            continue
        last = position
        context = int(before_B[place] * 16 + codes_B[place] * 4 + after_B[place])
        codon = codons[place // 3]
        for other in (code for code in range(4) if code != codes_B[place]):
            changed = codon.copy()
            changed[place % 3] = other
            synonymous = bool(CODE[tuple(changed)] == CODE[tuple(codon)])
            token = np.array([other + alphabet.A], np.uint8)
            inserted = token if gene.strand == "+" else alphabet.reverse_complement(token)
            allele = Allele(gene.contig, position, 1, inserted)
            found.append(Substitution(allele, gene.gene, synonymous, context * 4 + other))
    return found


def _codes(gene: Coding, genome: GenomeStore, offset: int) -> npt.NDArray[np.uint8]:
    """(B,) codes on the gene's strand, of bases `offset` further along it in the genome; above 3 where unknown."""
    along = offset if gene.strand == "+" else -offset
    positions = gene.positions + along
    first, end = int(positions.min()), int(positions.max()) + 1
    start, stop = max(0, first), min(end, genome.contigs[gene.contig])
    tokens = np.full(end - first, alphabet.N, np.uint8)
    tokens[start - first : stop - first] = genome.read(Interval(gene.contig, start, stop))
    codes = tokens[positions - first] - np.uint8(alphabet.A)  # what is below A wraps to more than T
    return codes if gene.strand == "+" else np.where(codes <= 3, codes ^ np.uint8(3), codes)

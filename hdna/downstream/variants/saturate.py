"""Every substitution of the regions of a BED file, as the records of a VCF that nobody need write."""

from collections import defaultdict
from collections.abc import Iterator

from hdna.downstream.variants.alleles import contig_name
from hdna.downstream.variants.vcf import COLUMNS, FIRST, Lines, Variants
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore, unknown_contig
from hdna_prep.bed import BedLine, past_the_end, read_bed_lines

_SPAN = 1 << 16
_OTHERS = {ord(base): ",".join(other for other in "ACGT" if other != base) for base in "ACGT"}


def saturated(bed: str, genome: GenomeStore) -> tuple[Variants, int]:
    """All three alternatives at each A, C, G and T of the regions, in the genome's order, and how many bases they have.

    Regions are 0-based and half-open; what several cover counts once. Raises InputError, "file:line: ...", for a bad
    BED file.
    """
    regions = _merged(_region(line, genome) for line in read_bed_lines(bed, "contig, start and end"))
    header = [FIRST + b"3"]
    header += [f"##contig=<ID={name},length={length}>".encode() for name, length in genome.contigs.items()]
    header.append(b"\t".join(COLUMNS))
    return Variants(bed, header, _records(regions, genome)), sum(len(region) for region in regions)


def _records(regions: list[Interval], genome: GenomeStore) -> Lines:
    number = 0
    for region in regions:
        for start in range(region.start, region.end, _SPAN):
            end = min(start + _SPAN, region.end)
            letters = genome.read_ascii(Interval(region.contig, start, end)).upper()
            for position, letter in enumerate(letters, start + 1):
                if letter in _OTHERS:
                    number += 1
                    line = f"{region.contig}\t{position}\t.\t{chr(letter)}\t{_OTHERS[letter]}\t.\t.\t."
                    yield number, line.encode()


def _region(line: BedLine, genome: GenomeStore) -> Interval:
    contig, (start, end) = contig_name(line.contig, genome), line.span
    if contig is None:
        raise unknown_contig(line.where, line.contig, list(genome.contigs))
    if end > genome.contigs[contig]:
        raise past_the_end(line.where, end, contig, genome.contigs[contig])
    return Interval(contig, start, end)


def _merged(regions: Iterator[Interval]) -> list[Interval]:
    """Without overlaps, in the genome's order of contigs: tabix wants each contig in one piece."""
    by_contig: dict[str, list[Interval]] = defaultdict(list)
    for region in sorted(regions):
        group = by_contig[region.contig]
        if group and region.start <= group[-1].end:
            last = group.pop()
            region = Interval(region.contig, last.start, max(last.end, region.end))
        group.append(region)
    return [region for group in by_contig.values() for region in group]

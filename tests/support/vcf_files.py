"""A small genome, its letters in hand, and VCF files of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

CONTIGS = {"chr1": 2_500, "chr2": 900, "chrM": 300}
"""Bases; chr1 has 40 N from 1,500 on, and an R at 700; 600 to 720 are soft-masked."""
COMPLEMENT = bytes.maketrans(b"ACGTNR", b"TGCANY")


def make_genome(path: Path, seed: int = 11) -> dict[str, bytes]:
    """Write a FASTA file of CONTIGS, and return its letters, upper case."""
    rng = np.random.default_rng(seed)
    genome = {}
    for name, length in CONTIGS.items():
        letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), size=length)
        if name == "chr1":
            letters[1_500:1_540], letters[700] = ord("N"), ord("R")
            letters[100:112] = list(b"GATTACAGGTCC")
            letters[1_489], letters[1_495] = b"AC"
        if name == "chr2":
            letters[449] = ord("A")
        genome[name] = letters.tobytes()
    masked = {**genome, "chr1": genome["chr1"][:600] + genome["chr1"][600:720].lower() + genome["chr1"][720:]}
    path.write_bytes(b"".join(b">%s\n%s\n" % (name.encode(), letters) for name, letters in masked.items()))
    return genome


def write_vcf(path: Path, rows: Iterable[Sequence[object]], info: Sequence[str] = ("DP",)) -> Path:
    """A VCF of rows (contig, position, ref, alt, info), its header defining the INFO keys as strings."""
    head = ["##fileformat=VCFv4.2", "##source=by hand"]
    head += [f"##contig=<ID={name},length={length}>" for name, length in CONTIGS.items()]
    head += [f'##INFO=<ID={key},Number=.,Type=String,Description="given">' for key in info]
    head.append("\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")))
    lines = [f"{contig}\t{position}\tid\t{ref}\t{alt}\t.\tPASS\t{given}" for contig, position, ref, alt, given in rows]
    path.write_text("".join(f"{line}\n" for line in [*head, *lines]))
    return path


def substitutions(genome: dict[str, bytes], contig: str, positions: Iterable[int]) -> list[tuple[object, ...]]:
    """Rows of all three alternatives at 0-based positions."""
    rows: list[tuple[object, ...]] = []
    for position in positions:
        ref = chr(genome[contig][position])
        rows.append((contig, position + 1, ref, ",".join(base for base in "ACGT" if base != ref), "."))
    return rows

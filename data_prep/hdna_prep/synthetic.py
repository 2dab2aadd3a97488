"""A synthetic genome from which a small model can learn in minutes, made by a seeded generator.

Background: a hidden order-5 chain whose table favours short contexts and is the same on both strands, with CpG
depletion and a GC content that drifts along the contig. On top of it: soft-masked repeat families (diverged copies of a
few consensus sequences, on both strands) and copies of earlier stretches at distances from 100 to 100,000 bases, which
only a long context can explain. Each contig has N runs at both ends.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdna.errors import InputError
from hdna.progress import progress
from hdna_prep.fasta_writer import fasta_file

Codes = npt.NDArray[np.uint8]

_ORDER = 5
_CONTEXTS = 4**_ORDER
_CHAIN_BASES = 1024
_CHAINS_AT_ONCE = 1 << 14
_GC_LEVELS = 9
_MIN_GC_BIAS, _MAX_GC_BIAS = -0.20, 0.20
_CPG_FACTOR = 0.35
_CPG_WORD = 0b0110
_STRENGTH = (0.18, 0.25, 0.17, 0.12, 0.10)
"""Standard deviation of the log-weights of words of 2, 3, …, 6 bases."""
_POWER_ITERATIONS = 60
_MAX_N_RUN = 10_000
_MIN_CONTIG, _MAX_CONTIG = 1_000, 1 << 30
"""A contig is made in memory; the longest human chromosome has 2^28 bases."""
_WRITTEN_BASES = 1 << 20
_LETTERS = np.frombuffer(b"ACGTNacgtn", np.uint8)
_N, _LOWER = 4, 5


@dataclass(frozen=True)
class GenomeSpec:
    """What is inserted into the background. Shares are fractions of a contig's bases."""

    distances: tuple[int, int] = (100, 100_000)
    """Shortest and longest distance between a copy and its original, drawn evenly on a logarithmic scale."""
    copy_share: float = 0.30
    copy_lengths: tuple[int, int] = (200, 2_000)
    copy_divergence: float = 0.07
    """Share of a copy's bases that are redrawn."""
    family_shares: tuple[float, ...] = (0.10, 0.04, 0.04, 0.02)
    """Of each repeat family. As in human DNA half is repeats, copies included, and a tenth one family of 300 bases."""
    family_length: int = 300
    family_divergence: float = 0.10


def write_genome(path: Path, bases: int, contigs: int = 1, seed: int = 0, spec: GenomeSpec | None = None) -> None:
    """Write a synthetic genome of `bases` bases in equal contigs chr1, chr2, … as FASTA; gzipped if `path` ends in .gz.

    The same arguments give the same bytes. Raises InputError for fewer than 1,000 bases per contig or more than 2^30,
    or when `path` exists.
    """
    if contigs < 1 or not contigs * _MIN_CONTIG <= bases <= contigs * _MAX_CONTIG:
        raise InputError(
            f"--bases {bases} --contigs {contigs}: want {_MIN_CONTIG:,} to {_MAX_CONTIG:,} bases in each contig"
        )
    spec = spec or GenomeSpec()
    tables = _chain_tables(np.random.default_rng([seed, 0]))
    count = len(spec.family_shares)
    families = [_chain(np.random.default_rng([seed, 1, i]), tables, spec.family_length) for i in range(count)]
    borders = [bases * i // contigs for i in range(contigs + 1)]
    with fasta_file(path) as fasta, progress(bases, "synthesising", "bases") as advance:
        for i in range(contigs):
            codes = _contig(np.random.default_rng([seed, 2, i]), borders[i + 1] - borders[i], tables, families, spec)
            fasta.header(f"chr{i + 1} synthetic, seed {seed}".encode())
            for start in range(0, codes.size, _WRITTEN_BASES):
                part = codes[start : start + _WRITTEN_BASES]
                fasta.letters(_LETTERS[part].tobytes())
                advance(part.size)


def _contig(
    rng: np.random.Generator, length: int, tables: npt.NDArray[np.float32], families: list[Codes], spec: GenomeSpec
) -> Codes:
    """Codes 0..3, 4 for N, plus 5 where soft-masked."""
    n_run = min(_MAX_N_RUN, length // 100)
    codes = _chain(rng, tables, length - 2 * n_run)
    masked = np.zeros(codes.size, np.bool_)
    _insert_families(rng, codes, masked, families, spec)
    _insert_copies(rng, codes, masked, spec)
    gap = np.full(n_run, _N, np.uint8)
    return np.concatenate((gap, codes + masked.astype(np.uint8) * np.uint8(_LOWER), gap))


def _chain_tables(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Cumulative probabilities of A, C, G, (T) by GC level and by the last five bases: (levels, 4^5, 3).

    Every word of six bases has the same weight as its reverse complement: like real genomes, the chain reads alike on
    both strands, so that training on both teaches no second language. The chain whose words occur with these weights
    is the Perron chain of their transfer matrix: p(b | context) = w(context b) r(next) / (λ r(context)).
    """
    words = np.arange(4 * _CONTEXTS)
    energy = np.where(words % 16 == _CPG_WORD, np.log(_CPG_FACTOR), 0.0)
    for length, strength in enumerate(_STRENGTH, 2):
        drawn = rng.normal(size=(4, 4 ** (length - 2), 4))
        # No first or last base is favoured on its own: GC content is left to the bias.
        drawn -= drawn.mean((1, 2), keepdims=True)
        drawn -= drawn.mean((0, 1), keepdims=True)
        both = drawn.reshape(-1) + drawn.reshape(-1)[_reverse_complements(length)]
        energy += (strength * both / both.std())[words % 4**length]
    strong = np.isin(words % 4, (1, 2))
    biases = np.linspace(_MIN_GC_BIAS, _MAX_GC_BIAS, _GC_LEVELS)
    tables = [np.cumsum(_perron_chain(np.exp(energy + bias * strong)), -1)[:, :3] for bias in biases]
    return np.stack(tables).astype(np.float32)


def _perron_chain(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Transition probabilities (4^5, 4) from the weights of six-base words."""
    following = np.arange(weights.size).reshape(-1, 4) % _CONTEXTS
    vector = np.ones(_CONTEXTS)
    for _ in range(_POWER_ITERATIONS):
        vector = (weights.reshape(-1, 4) * vector[following]).sum(-1)
        vector /= vector.mean()
    flow: npt.NDArray[np.float64] = weights.reshape(-1, 4) * vector[following]
    flow /= flow.sum(-1, keepdims=True)
    return flow


def _reverse_complements(length: int) -> npt.NDArray[np.int64]:
    """For each word of `length` bases, written in base 4, the word on the other strand."""
    words, other = np.arange(4**length), np.zeros(4**length, np.int64)
    for _ in range(length):
        other = other * 4 + 3 - words % 4
        words = words // 4
    return other


def _chain(rng: np.random.Generator, tables: npt.NDArray[np.float32], length: int) -> Codes:
    """Background bases: many stretches of 1,024 grow in parallel, each at its local GC level."""
    chains = -(-length // _CHAIN_BASES)
    levels = _drift(rng, chains)
    parts = [_grow(rng, tables, levels[first : first + _CHAINS_AT_ONCE]) for first in range(0, chains, _CHAINS_AT_ONCE)]
    return np.concatenate(parts)[:length]


def _drift(rng: np.random.Generator, chains: int) -> npt.NDArray[np.int64]:
    """A GC level for each stretch: waves of three lengths, so that neighbours are similar."""
    position = np.arange(chains) * _CHAIN_BASES
    wave = sum(np.sin(2 * np.pi * (position / length + rng.random())) for length in (1_500_000, 300_000, 60_000))
    return np.clip(np.rint((np.asarray(wave) / 3 + 0.5) * (_GC_LEVELS - 1)), 0, _GC_LEVELS - 1).astype(np.int64)


def _grow(rng: np.random.Generator, tables: npt.NDArray[np.float32], levels: npt.NDArray[np.int64]) -> Codes:
    codes = np.empty((_CHAIN_BASES, levels.size), np.uint8)
    context = rng.integers(0, _CONTEXTS, levels.size)
    for row in codes:
        thresholds = tables[levels, context]
        row[:] = (rng.random(levels.size, dtype=np.float32)[:, None] > thresholds).sum(-1)
        context = (context * 4 + row) % _CONTEXTS
    return np.ascontiguousarray(codes.T).reshape(-1)


def _insert_families(
    rng: np.random.Generator, codes: Codes, masked: npt.NDArray[np.bool_], families: list[Codes], spec: GenomeSpec
) -> None:
    if not families or codes.size <= 2 * spec.family_length:
        return
    counts = [round(codes.size * share / (0.75 * spec.family_length)) for share in spec.family_shares]
    for family in rng.permutation(np.repeat(np.arange(len(families)), counts)):
        consensus = families[family]
        length = int(rng.integers(spec.family_length // 2, spec.family_length + 1))
        begin = int(rng.integers(consensus.size - length + 1))
        copy = consensus[begin : begin + length]
        if rng.random() < 0.5:
            copy = 3 - copy[::-1]
        position = int(rng.integers(codes.size - length))
        codes[position : position + length] = _diverged(rng, copy, spec.family_divergence)
        masked[position : position + length] = True


def _insert_copies(rng: np.random.Generator, codes: Codes, masked: npt.NDArray[np.bool_], spec: GenomeSpec) -> None:
    """Copies from left to right, so that copies can be copied; one longer than its distance is a tandem repeat."""
    shortest, longest = spec.distances
    mean_length = sum(spec.copy_lengths) / 2
    mean_gap = mean_length * (1 / spec.copy_share - 1) if spec.copy_share > 0 else np.inf
    position = shortest + rng.exponential(mean_gap)
    while position < codes.size:
        start = int(position)
        length = min(int(rng.integers(spec.copy_lengths[0], spec.copy_lengths[1] + 1)), codes.size - start)
        distance = int(np.exp(rng.uniform(np.log(shortest), np.log(min(longest, start) + 1))))
        source = slice(start - distance, min(start - distance + length, start))
        codes[start : start + length] = _diverged(rng, np.resize(codes[source], length), spec.copy_divergence)
        masked[start : start + length] = np.resize(masked[source], length)
        position = start + length + rng.exponential(mean_gap)


def _diverged(rng: np.random.Generator, codes: Codes, divergence: float) -> Codes:
    drawn = rng.integers(0, 4, codes.size, dtype=np.uint8)
    return np.where(rng.random(codes.size) < divergence, drawn, codes)

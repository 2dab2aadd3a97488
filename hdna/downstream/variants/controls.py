"""Zero-shot controls: does a score without any training on labels say more than composition does?

* Synonymous against non-synonymous substitutions of coding sequence, of the same trinucleotide and alternative: a model
  that knows nothing of codons scores 0.5.
* The same variants in shuffled sequence of the same dinucleotides: whatever is left of 0.5 is no knowledge of codons.
* The two strands' scores: how far two readings of one variant agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hdna.downstream.bootstrap import estimate
from hdna.downstream.metrics import Floats, Ints, pearson, ranks, spearman
from hdna.downstream.variants.alleles import Allele
from hdna.downstream.variants.coding import Substitution, sampled_substitutions
from hdna.downstream.variants.genes import read_coding
from hdna.downstream.variants.part import Job, scorer
from hdna.downstream.variants.scores import Score
from hdna.downstream.variants.shuffled import ShuffledGenome
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna_prep.pool import Pool, in_order
from hdna_prep.store_ref import opened

_TOGETHER = 600
"""Alleles of one task."""


def coding_controls(gtf: str, job: Job, genome: GenomeStore, pool: Pool) -> dict[str, Any]:
    """The controls on a sample of coding bases, with intervals by whole genes.

    Raises InputError for bad GTF, and when its genes have no synonymous and non-synonymous substitutions to match.
    """
    found = sampled_substitutions(read_coding(gtf, genome), genome)
    if not found:
        raise InputError(f"{gtf}: no substitutions to compare: no coding sequence of whole codons without a stop codon")
    found.sort(key=lambda one: (one.allele.contig, one.allele.start))
    alleles = [one.allele for one in found]
    with progress(2 * len(alleles), "scoring controls", "alleles") as advance:
        as_they_are, in_shuffled = (_scored(job, alleles, shuffle, pool, advance) for shuffle in (False, True))
    return _judged(found, as_they_are, in_shuffled)


def _scored(
    job: Job, alleles: Sequence[Allele], shuffle: bool, pool: Pool, advance: Callable[[float], None]
) -> list[Score | str]:
    groups = (alleles[first : first + _TOGETHER] for first in range(0, len(alleles), _TOGETHER))
    started = (pool.submit(score_alleles, job, group, shuffle) for group in groups)
    scores: list[Score | str] = []
    for group in in_order(pool, started):
        scores += group
        advance(len(group))
    return scores


def score_alleles(job: Job, alleles: Sequence[Allele], shuffle: bool) -> list[Score | str]:
    """Score some alleles, in a genome shuffled around them or as it is."""
    genome = opened(*job.genome)
    using = scorer(job, genome)
    if shuffle:
        contigs = {allele.contig for allele in alleles}
        kept = {contig: np.unique([a.start for a in alleles if a.contig == contig]) for contig in contigs}
        using = replace(using, read=ShuffledGenome(genome, kept).read)
    return using.scores(alleles)


def _judged(
    found: Sequence[Substitution], as_they_are: Sequence[Score | str], in_shuffled: Sequence[Score | str]
) -> dict[str, Any]:
    rows = [
        (one, score, other)
        for one, score, other in zip(found, as_they_are, in_shuffled, strict=True)
        if isinstance(score, Score) and isinstance(other, Score)
    ]
    truth: Ints = np.array([not one.synonymous for one, _, _ in rows], np.int64)
    strata: Ints = np.array([one.stratum for one, _, _ in rows], np.int64)
    _, genes = np.unique([one.gene for one, _, _ in rows], return_inverse=True)
    ratios = np.array([score.ratio for _, score, _ in rows])
    shuffled_ratios = np.array([score.ratio for _, _, score in rows])
    forward = np.array([score.forward for _, score, _ in rows])
    reverse = np.array([score.reverse for _, score, _ in rows])

    def of(figure: Callable[[Ints], float]) -> dict[str, Any]:
        return asdict(estimate(figure, genes))

    return {
        "synonymous": {
            "auroc": of(lambda drawn: stratified_auroc(truth[drawn], -ratios[drawn], strata[drawn])),
            "non_synonymous": int(truth.sum()),
            "synonymous": int((1 - truth).sum()),
            "strata": len(np.unique(strata)),
            "genes": len(np.unique(genes)),
        },
        "shuffled": {
            "auroc": of(lambda drawn: stratified_auroc(truth[drawn], -shuffled_ratios[drawn], strata[drawn])),
        },
        "reverse_complement": {
            "pearson": of(lambda drawn: pearson(forward[drawn], reverse[drawn])),
            "spearman": of(lambda drawn: spearman(forward[drawn], reverse[drawn])),
        },
    }


def stratified_auroc(truth_N: Ints, score_N: Floats, stratum_N: Ints) -> float:
    """Probability that a positive row scores above a negative one of the same stratum, over all such pairs.

    Ties count half. NaN when no stratum has both.
    """
    _, stratum_N = np.unique(stratum_N, return_inverse=True)
    # Ranks among all rows by stratum, then score, less the rows of earlier strata: ranks within the stratum.
    order = np.lexsort((score_N, stratum_N))
    new = np.append(True, (np.diff(score_N[order]) != 0) | (np.diff(stratum_N[order]) != 0))[: len(order)]
    place_N = np.empty(len(order))
    place_N[order] = np.cumsum(new)
    positives, rows = np.bincount(stratum_N, truth_N), np.bincount(stratum_N)
    earlier = np.cumsum(rows) - rows
    within = np.bincount(stratum_N, (ranks(place_N) - earlier[stratum_N]) * truth_N)
    pairs = positives @ (rows - positives)
    return float((within - positives * (positives + 1) / 2).sum() / pairs) if pairs else np.nan

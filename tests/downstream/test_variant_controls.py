"""Controls compare what they say: codons of one genetic code, alike surroundings, shuffles that keep dinucleotides."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer
from support.command_line import hdna
from support.random_checkpoint import random_checkpoint
from support.vcf_files import COMPLEMENT

from hdna.config.schema import ModelConfig
from hdna.downstream.variants import coding
from hdna.downstream.variants.alleles import Allele
from hdna.downstream.variants.coding import sampled_substitutions
from hdna.downstream.variants.controls import _judged, stratified_auroc
from hdna.downstream.variants.genes import read_coding
from hdna.downstream.variants.scores import Score
from hdna.downstream.variants.shuffled import ShuffledGenome, shuffled
from hdna.errors import InputError
from hdna.genome.alphabet import decode
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore

AMINO_ACIDS = {
    "F": "TTT TTC", "L": "TTA TTG CTT CTC CTA CTG", "I": "ATT ATC ATA", "M": "ATG", "V": "GTT GTC GTA GTG",
    "S": "TCT TCC TCA TCG AGT AGC", "P": "CCT CCC CCA CCG", "T": "ACT ACC ACA ACG", "A": "GCT GCC GCA GCG",
    "Y": "TAT TAC", "*": "TAA TAG TGA", "H": "CAT CAC", "Q": "CAA CAG", "N": "AAT AAC", "K": "AAA AAG",
    "D": "GAT GAC", "E": "GAA GAG", "C": "TGT TGC", "W": "TGG", "R": "CGT CGC CGA CGG AGA AGG", "G": "GGT GGC GGA GGG",
}  # fmt: skip
CODONS = {codon: acid for acid, codons in AMINO_ACIDS.items() for codon in codons.split()}
"""As textbooks list them."""
LENGTH = 6_000


def gene(rng: np.random.Generator, codons: int) -> str:
    """A coding sequence: start, codons without a stop, stop."""
    known = sorted(codon for codon, acid in CODONS.items() if acid != "*")
    return "".join(["ATG", *rng.choice(known, codons - 2), "TAA"])


class Genes:
    """A genome of a contig with a gene of two exons on each strand, their texts, and a GTF of them."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        letters = list("".join(rng.choice(list("ACGT"), LENGTH)))
        self.texts = {"plus": gene(rng, 300), "minus": gene(rng, 300)}
        lines = ["#a comment\n"]
        for name, strand, exons in (("plus", "+", (501, 1200)), ("minus", "-", (3001, 3700))):
            text = self.texts[name] if strand == "+" else self.reverse(self.texts[name])
            first = 400  # bases of the left exon: the codon in between is split
            for start, piece in zip(exons, (text[:first], text[first:]), strict=True):
                letters[start - 1 : start - 1 + len(piece)] = piece
            # The stop codon is no CDS in GTF: the last three bases to be translated are left out. The codon that is
            # split has one base in the plus strand's first exon, and two in the minus strand's.
            left, right = [exons[0], exons[0] + first - 1], [exons[1], exons[1] + 900 - first - 1]
            if strand == "+":
                right[1] -= 3
            else:
                left[0] += 3
            for (start, end), frame in zip((left, right), (0, 2) if strand == "+" else (1, 0), strict=True):
                about = f'gene_id "{name}"; transcript_id "{name}.1";'
                lines.append(f"c\tx\tCDS\t{start}\t{end}\t.\t{strand}\t{frame}\t{about}\n")
                lines.append(f"c\tx\texon\t{start}\t{end}\t.\t{strand}\t.\t{about}\n")
        lines.append('c\tx\tCDS\t501\t560\t.\t+\t0\tgene_id "plus"; transcript_id "plus.short";\n')
        lines.append('elsewhere\tx\tCDS\t501\t560\t.\t+\t0\tgene_id "g"; transcript_id "g.1";\n')
        self.letters = "".join(letters)
        self.gtf, self.fasta, self.store = folder / "g.gtf", folder / "g.fa", folder / "g.zarr"
        self.gtf.write_text("".join(lines))
        self.fasta.write_text(f">c\n{self.letters}\n")
        hdna("prep", "genome", self.fasta, "--out", self.store)

    @staticmethod
    def reverse(text: str) -> str:
        return text.encode().translate(COMPLEMENT)[::-1].decode()


@pytest.fixture(scope="module")
def genes(tmp_path_factory: pytest.TempPathFactory) -> Genes:
    return Genes(tmp_path_factory.mktemp("genes"))


def test_coding_sequence_is_that_of_the_longest_transcript_in_order_of_translation(genes: Genes) -> None:
    found = {one.gene: one for one in read_coding(str(genes.gtf), GenomeStore.open(str(genes.store)))}
    assert set(found) == {"plus", "minus"}
    for name, one in found.items():
        letters = "".join(genes.letters[position] for position in one.positions)
        text = letters if name == "plus" else letters.encode().translate(COMPLEMENT).decode()
        assert text == genes.texts[name][3:-3]  # without the codons of start and stop


def test_substitutions_are_synonymous_by_the_textbook_and_matched_by_their_neighbours(
    genes: Genes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coding, "SPACING", 1)
    store = GenomeStore.open(str(genes.store))
    found = sampled_substitutions(read_coding(str(genes.gtf), store), store)
    kinds: dict[int, set[bool]] = {}
    around: dict[int, set[tuple[str, str]]] = {}
    for one in found:
        text, at = genes.texts[one.gene], one.allele.start
        other = decode(one.allele.inserted).decode()
        whole = list(genes.letters)
        whole[at] = other
        trinucleotide = genes.letters[at - 1 : at + 2]
        if one.gene == "plus":
            place = at - 500 if at < 900 else at - 1199 + 400
        else:
            place = 899 - (at - 3000 if at < 3400 else at - 3699 + 400)
            other, trinucleotide = genes.reverse(other), genes.reverse(trinucleotide)
        codon = text[place // 3 * 3 :][:3]
        changed = codon[: place % 3] + other + codon[place % 3 + 1 :]
        assert one.synonymous == (CODONS[codon] == CODONS[changed]) and codon != changed
        kinds.setdefault(one.stratum, set()).add(one.synonymous)
        around.setdefault(one.stratum, set()).add((trinucleotide, other))
    assert all(len(kind) == 2 for kind in kinds.values())  # nothing without a counterpart
    assert all(len(one) == 1 for one in around.values()) and len(around) > 100
    assert len(found) > 3_000


def test_sampled_positions_are_apart_and_at_all_places_of_codons(genes: Genes) -> None:
    store = GenomeStore.open(str(genes.store))
    every = coding._substitutions(*(read_coding(str(genes.gtf), store)[0], store, np.arange(LENGTH)))
    places = sorted({one.allele.start for one in every})
    assert min(np.diff(places)) >= coding.SPACING
    first_exon = [place for place in places if place < 900]
    assert {(place - 500) % 3 for place in first_exon} == {0, 1, 2}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("c\tx\tCDS\t501\n", ":1: 4 columns"),
        ('c\tx\tCDS\tone\t560\t.\t+\t0\tgene_id "g"; transcript_id "t";\n', ":1: start 'one'"),
        ('c\tx\tCDS\t501\t560\t.\t.\t0\tgene_id "g"; transcript_id "t";\n', ":1: strand '.'"),
        ('c\tx\tCDS\t501\t9560\t.\t+\t0\tgene_id "g"; transcript_id "t";\n', ":1: 501 to 9560 is not within"),
        ("c\tx\tCDS\t501\t560\t.\t+\t0\tID=cds;Parent=t\n", ":1: a CDS without gene_id"),
        ('d\tx\tCDS\t501\t560\t.\t+\t0\tgene_id "g"; transcript_id "t";\n', ": no CDS on a contig"),
    ],
)
def test_what_is_no_gtf_of_this_genome_is_refused(genes: Genes, tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "g.gtf"
    path.write_text(line)
    with pytest.raises(InputError) as caught:
        read_coding(str(path), GenomeStore.open(str(genes.store)))
    assert str(caught.value).startswith(f"{path}{what}")


def test_shuffles_are_all_sequences_of_the_same_dinucleotides_equally_often() -> None:
    """Against every arrangement of a short sequence, by brute force."""
    codes = np.array([0, 1, 0, 2, 0, 1, 2, 1, 0], np.uint8)
    pairs = Counter(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))

    def walks(walk: tuple[int, ...], left: Counter[tuple[int, int]]) -> set[tuple[int, ...]]:
        if not left:
            return {walk}
        found = set()
        for pair in left:
            if pair[0] == walk[-1]:
                found |= walks((*walk, pair[1]), left - Counter([pair]))
        return found

    possible = walks((0,), pairs)
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(shuffled(codes, rng).tolist()) for _ in range(200 * len(possible)))
    assert set(drawn) == possible and len(possible) > 10
    assert stats.chisquare([drawn[one] for one in possible]).pvalue > 1e-3


def test_a_shuffled_genome_keeps_what_it_should_on_both_strands(genes: Genes) -> None:
    store = GenomeStore.open(str(genes.store))
    kept = np.array([700, 731, 800])
    forward = decode(ShuffledGenome(store, {"c": kept}).read(Interval("c", 600, 900))).decode()
    reverse = decode(ShuffledGenome(store, {"c": kept}).read(Interval("c", 600, 900, "-"))).decode()
    given = genes.letters[600:900]
    assert forward == genes.reverse(reverse) and forward != given
    for place in kept - 600:
        assert forward[place - 1 : place + 2] == given[place - 1 : place + 2]
    assert Counter(pairwise(forward)) == Counter(pairwise(given))
    assert sum(a == b for a, b in zip(forward, given, strict=True)) < 150


def test_a_stratified_auroc_counts_pairs_within_strata() -> None:
    rng = np.random.default_rng(0)
    truth, strata = rng.integers(2, size=200), rng.integers(12, size=200) * 3
    score = np.round(rng.normal(size=200) + truth + strata, 1)
    won = pairs = 0.0
    for one in range(200):
        for other in range(200):
            if strata[one] == strata[other] and truth[one] > truth[other]:
                pairs += 1
                won += (score[one] > score[other]) + (score[one] == score[other]) / 2
    assert stratified_auroc(truth, score, strata) == pytest.approx(won / pairs, abs=1e-12)
    alone = np.zeros(200, np.int64)
    assert stratified_auroc(truth, score, alone) == pytest.approx(peer.roc_auc_score(truth, score), abs=1e-12)
    assert np.isnan(stratified_auroc(np.ones(5, np.int64), score[:5], strata[:5]))


def test_a_planted_difference_is_found_and_a_shuffled_one_is_not() -> None:
    rng = np.random.default_rng(1)
    allele = Allele("c", 5, 1, np.array([7], np.uint8))
    found = [coding.Substitution(allele, f"g{n % 25}", bool(n % 3 == 0), n % 7) for n in range(1_000)]
    real = [Score(v, v + rng.normal() / 10, 9, 9) for one in found for v in [one.synonymous + rng.normal()]]
    noise = [Score(v, v, 9, 9) for v in rng.normal(size=1_000)]
    judged = _judged(found, real, noise)
    planted = judged["synonymous"]["auroc"]
    assert planted["low"] < stats.norm.cdf(1 / np.sqrt(2)) < planted["high"] and planted["low"] > 0.6
    assert judged["shuffled"]["auroc"]["low"] < 0.5 < judged["shuffled"]["auroc"]["high"]
    assert judged["reverse_complement"]["pearson"]["value"] > 0.98
    assert (judged["synonymous"]["genes"], judged["synonymous"]["strata"]) == (25, 7)


def test_the_command_scores_controls_beside_a_vcf(genes: Genes, tmp_path: Path) -> None:
    random_checkpoint(tmp_path / "run", ModelConfig(d_model=8, n_layer=1, l_max=300, filter_order=8))
    (tmp_path / "r.bed").write_text("c 100 103\n")
    said = hdna("eval", "variants", tmp_path / "run", "--saturate", tmp_path / "r.bed", "--fasta", genes.fasta, "--out",
                tmp_path / "o.vcf.gz", "--controls", "--gtf", genes.gtf)  # fmt: skip
    assert "9 alleles of 3 records" in said
    assert "non-synonymous against synonymous" in said and "of 2 genes" in said

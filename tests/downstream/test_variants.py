"""A scored VCF has the likelihoods of the genome with each allele in it, read by the model letter by letter."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
import torch
from sklearn import metrics as peer
from support.command_line import hdna
from support.random_checkpoint import random_checkpoint
from support.vcf_files import COMPLEMENT, CONTIGS, make_genome, substitutions, write_vcf

from hdna.config.schema import ModelConfig
from hdna.downstream.variants import parts, scoring
from hdna.downstream.variants.alleles import Allele
from hdna.downstream.variants.part import score_part
from hdna.downstream.variants.scoring import Outcome, Request, score_variants
from hdna.downstream.variants.windows import geometry, windows
from hdna.errors import InputError
from hdna.genome.alphabet import encode
from hdna.model import HyenaDNA
from hdna_prep.pool import InThisProcess

L_MAX, CONTEXT, HORIZON, CELL = 400, 200, 64, 50
ROWS = (
    ("chr1", 101, "G", "T", 100, 1, "T"),
    ("chr1", 102, "A", "C,G", 101, 1, "C,G"),
    ("chr1", 103, "TT", "GA", 102, 2, "GA"),
    ("chr1", 105, "A", "AGGT", 105, 0, "GGT"),
    ("chr1", 106, "CAGG", "C", 106, 3, ""),
    ("chr1", 106, "CAGGT", "CTGT", 106, 2, "T"),
    ("chr1", 1_490, "?" * 7, "?", 1_490, 6, ""),
    ("chr2", 450, "?", "?CCCCC", 450, 0, "CCCCC"),
)
"""Contig, position, reference, alternatives as written; then by hand where they begin, 0-based, how many bases they
remove, and what they insert. A question mark is the genome's letter."""


class Here:
    """A genome, a run, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.letters = make_genome(folder / "g.fa")
        config = ModelConfig(d_model=8, n_layer=2, l_max=L_MAX, filter_order=8)
        self.model = random_checkpoint(folder / "run", config)
        hdna("prep", "genome", folder / "g.fa", "--out", folder / "g.zarr")

    def request(self, out: Path, **given: Any) -> Request:  # noqa: ANN401
        values: dict[str, Any] = {"fasta": str(self.folder / "g.zarr"), "context": CONTEXT, "horizon": HORIZON} | given
        return Request(str(self.folder / "run"), out=str(out), **values)

    def score(self, out: Path, **given: Any) -> Outcome:  # noqa: ANN401
        return score_variants(self.request(out, **given), InThisProcess(), None)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    return Here(tmp_path_factory.mktemp("variants"))


def filled(here: Here, contig: str, position: int, text: str) -> str:
    """The genome's letters in place of question marks."""
    return "".join(
        chr(here.letters[contig][position - 1 + place]) if letter == "?" else letter
        for place, letter in enumerate(text)
    )


def nats(model: HyenaDNA, sequence: bytes, start: int, end: int, counted: Sequence[bool]) -> float:
    """The log likelihood of [start, end) of a sequence that the model reads from its first letter on."""
    tokens = torch.from_numpy(encode(sequence).astype("int64"))
    with torch.no_grad():
        log_p = torch.log_softmax(model(tokens[None, : end - 1])[0].double(), -1)
    return sum(
        float(log_p[at - 1, tokens[at]]) for at, counts in zip(range(start, end), counted, strict=True) if counts
    )


def by_hand(here: Here, contig: str, start: int, removed: int, inserted: str) -> float:
    """The mean over strands of the alternative's nats minus the reference's: two strings of letters, one model."""
    ratios = []
    for strand in "+-":
        reference, alternative = here.letters[contig], inserted.encode()
        if strand == "-":
            start = len(reference) - start - removed
            reference = reference.translate(COMPLEMENT)[::-1]
            alternative = alternative.translate(COMPLEMENT)[::-1]
        edited = reference[:start] + alternative + reference[start + removed :]
        first = max(0, start // CELL * CELL - CONTEXT)
        a, z = start - first, start - first + HORIZON
        one, other = reference[first:], edited[first:]
        counted = [x in b"ACGT" and y in b"ACGT" for x, y in zip(one[a:z], other[a:z], strict=True)]
        ratios.append(nats(here.model, other, a, z, counted) - nats(here.model, one, a, z, counted))
    return sum(ratios) / 2


def values_of(path: Path, key: str) -> list[list[str]]:
    """An INFO entry of each record, by plain text."""
    found = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if not line.startswith("#"):
            entries = dict(entry.partition("=")[::2] for entry in line.split("\t")[7].split(";"))
            found.append(entries.get(key, "").split(","))
    return found


@pytest.mark.parametrize("full", [False, True])
def test_scores_are_those_of_the_edited_genome_on_both_strands(here: Here, tmp_path: Path, full: bool) -> None:
    rows = [(c, p, filled(here, c, p, ref), filled(here, c, p, alt), "DP=3") for c, p, ref, alt, *_ in ROWS]
    done = here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)), full=full)
    found = values_of(tmp_path / "o.vcf.gz", "HDNA_LLR")
    for (contig, _, _, _, start, removed, inserted), ratios in zip(ROWS, found, strict=True):
        wanted = [by_hand(here, contig, start, removed, one) for one in inserted.split(",")]
        assert [float(ratio) for ratio in ratios] == pytest.approx(wanted, abs=1e-5), (start, removed, inserted)
        assert max(map(abs, wanted)) > 0.01
    assert (done.tally.scored, done.tally.refused) == (9, {})
    assert done.body["method"] == ("full" if full else "differences")


def test_the_bases_that_were_read_are_said(here: Here, tmp_path: Path) -> None:
    """By hand: a window begins 200 bases before a cell of 50; a contig's begin and end leave less."""
    rows = substitutions(here.letters, "chr2", [0, 1, 10, 480, 870, 898, 899])
    here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)))
    contexts = [ones[0] for ones in values_of(tmp_path / "o.vcf.gz", "HDNA_CONTEXT")]
    horizons = [ones[0] for ones in values_of(tmp_path / "o.vcf.gz", "HDNA_HORIZON")]
    assert contexts == ["", "1", "10", str(200 + min(480 - 450, 419 - 400)), "29", "1", ""]
    # Along the reverse strand 11 bases are left at 10, so 8 are compared, a power of two.
    assert horizons == ["", "2", "8", "64", "16", "2", ""]
    assert [ones[0] for ones in values_of(tmp_path / "o.vcf.gz", "HDNA_REFUSED")][::6] == ["at_end_of_contig"] * 2


def test_unknown_letters_do_not_count(here: Here, tmp_path: Path) -> None:
    """699 is followed by an R, 1,495 by 4 bases and 40 N: 64 positions reach 20 known ones beyond; 1,499 has none."""
    rows = substitutions(here.letters, "chr1", [699, 1_495])
    here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)))
    assert values_of(tmp_path / "o.vcf.gz", "HDNA_HORIZON") == [["63"] * 3, ["24"] * 3]


def test_a_score_depends_on_the_allele_alone(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = substitutions(here.letters, "chr1", [300, 333, 340, 420, 2_200]) + substitutions(
        here.letters, "chr2", [500, 501]
    )
    here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)))
    monkeypatch.setattr(parts, "RECORDS", 2)
    shuffled = [rows[place] for place in (6, 1, 4, 0, 3, 5, 2)]
    here.score(tmp_path / "s.vcf.gz", vcf=str(write_vcf(tmp_path / "s.vcf", shuffled)))
    one, other = (
        dict(zip([row[:2] for row in order], values_of(path, "HDNA_LLR"), strict=True))
        for order, path in ((rows, tmp_path / "o.vcf.gz"), (shuffled, tmp_path / "s.vcf.gz"))
    )
    for row, ratios in one.items():
        assert list(map(float, ratios)) == pytest.approx(list(map(float, other[row])), abs=1.1e-4)


def test_a_window_holds_its_cell_alone_and_the_default_ones_fit_the_model() -> None:
    """What a pass keeps for its alleles is then bounded, at a contig's begin too."""
    shape = geometry(40_000, None, None)
    assert (shape.context, shape.horizon, shape.cell) == (31_590, 512, 7_897)
    base = np.array([7], np.uint8)
    alleles = [Allele("c", start, 1, base) for start in range(1, 99_700, 100)] + [Allele("c", 7_890, 500, base)]
    for window in windows(alleles, 100_000, shape):
        members = [alleles[number] for number in window.members]
        assert window.end - window.start <= 40_000 and max(a.start for a in members) + window.horizon <= window.end
        assert len({a.start // shape.cell for a in members}) == 1
        assert min(a.start for a in members) - window.start >= shape.context or window.start == 0
    tiny = geometry(8, None, None)
    assert tiny.context >= 1 and tiny.context + tiny.cell + tiny.horizon <= 8


def test_others_read_and_index_it(here: Here, tmp_path: Path) -> None:
    rows = substitutions(here.letters, "chr1", range(250, 450)) + substitutions(here.letters, "chr2", range(300, 330))
    rows[3] = (*rows[3][:3], "A,<DEL>,*", "DP=7;HDNA_LLR=9;HDNA_REFUSED=old")
    vcf = write_vcf(tmp_path / "v.vcf", rows, info=("DP", "HDNA_LLR"))
    here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    path = str(tmp_path / "o.vcf.gz")
    pysam.tabix_index(path, preset="vcf")
    with pysam.VariantFile(path) as read, pysam.VariantFile(str(vcf)) as given:
        info = read.header.info["HDNA_LLR"]
        assert (info.number, info.type) == ("A", "Float")
        assert "source" in {record.key for record in read.header.records}
        assert str(read.header).count("ID=HDNA_LLR") == 1
        there = [(record.contig, record.pos, record.ref, record.alts, record.id) for record in read]
        assert there == [(record.contig, record.pos, record.ref, record.alts, record.id) for record in given]
        assert [record.pos for record in read.fetch("chr2", 310, 313)] == [311, 312, 313]
        (mixed,) = read.fetch("chr1", 253, 254)
        assert mixed.info["DP"] == ("7",) and "HDNA_CONTEXT" in mixed.info
        assert mixed.info["HDNA_LLR"][0] != 9 and mixed.info["HDNA_LLR"][1:] == (None, None)
        assert mixed.info["HDNA_REFUSED"] == (".", "symbolic", "spanning_deletion")


REFUSED = (
    ("chr9", 5, "A", "C", "unknown_contig"),
    ("chr2", 0, "A", "C", "outside_contig"),
    ("chr2", 901, "A", "C", "outside_contig"),
    ("chr2", 898, "?" * 3 + "A", "C", "outside_contig"),
    ("chr2", 300, "!", "C", "ref_mismatch"),
    ("chr2", 300, "N", "C", "not_acgt"),
    ("chr2", 300, "?", "R", "not_acgt"),
    ("chr1", 1_501, "A", "C", "ref_mismatch"),
    ("chr2", 300, "?", "<DEL>", "symbolic"),
    ("chr2", 300, "?", "?[chr1:5[", "breakend"),
    ("chr2", 300, "?", "?.", "breakend"),
    ("chr2", 300, "?", "*", "spanning_deletion"),
    ("chr2", 300, "?", ".", "no_alternative"),
    ("chr2", 300, "?", "?", "same_as_ref"),
    ("chr2", 300, "?", "?" + "ACGT" * 17, "longer_than_horizon"),
    ("chr2", 300, "?" * 66, "?", "longer_than_horizon"),
)


def test_what_cannot_be_scored_passes_through_with_its_reason(here: Here, tmp_path: Path) -> None:
    rows: list[Sequence[object]] = [("chr2", 310, filled(here, "chr2", 310, "?"), "ACC", ".")]
    for contig, position, ref, alt, _ in REFUSED:
        if "!" in ref:
            ref = "A" if filled(here, contig, position, "?") != "A" else "C"
        elif "?" in ref:
            ref, alt = (filled(here, contig, position, text) for text in (ref, alt))
        rows.append((contig, position, ref, alt, "."))
    done = here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)))
    assert [ones[0] for ones in values_of(tmp_path / "o.vcf.gz", "HDNA_REFUSED")][1:] == [row[-1] for row in REFUSED]
    assert done.tally.scored == 1
    assert sum(done.body["refused"].values()) == len(REFUSED)
    assert json.loads((tmp_path / "variants.json").read_text())["refused"] == done.body["refused"]


def test_contigs_of_the_other_naming_are_found_and_said(here: Here, tmp_path: Path) -> None:
    rows = [(name, *row[1:]) for name, known in (("1", "chr1"), ("MT", "chrM"))
            for row in substitutions(here.letters, known, [150])]  # fmt: skip
    said = hdna("eval", "variants", here.folder / "run", "--vcf", write_vcf(tmp_path / "v.vcf", rows), "--fasta",
                here.folder / "g.zarr", "--out", tmp_path / "o.vcf.gz")  # fmt: skip
    assert "6 alleles of 2 records" in said and "1 is chr1 in the genome, and 1 more" in said
    assert json.loads((tmp_path / "variants.json").read_text())["contigs_renamed"] == {"1": "chr1", "MT": "chrM"}


HEAD = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", ":", "empty"),
        (b">chr1\nACGT\n", ":1:", "not a VCF file"),
        (b"BCF\x02\x02", ":1:", "not a VCF file"),
        (b"##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC\t.\t.\t.\n", ":2:", "the line of columns"),
        (HEAD.replace(b"\t", b" "), ":2:", "separated by tabs"),
        (HEAD + b"chr1\t5\t.\tA\tC\n", ":3:", "5 columns, the header has 8"),
        (HEAD + b"chr1\t5\t.\tA\tC\t.\t.\t.\nchr1\tfive\t.\tA\tC\t.\t.\t.\n", ":4:", "want a whole number"),
        (HEAD + b"chr1\t-5\t.\tA\tC\t.\t.\t.\n", ":3:", "want a whole number"),
        (HEAD + b"chr1\t5\t.\t\tC\t.\t.\t.\n", ":3:", "is empty"),
        (HEAD + b"chr1\t5\t.\tA\tC,\t.\t.\t.\n", ":3:", "is empty"),
        (HEAD + b"\n", ":3:", "1 columns"),
        (gzip.compress(HEAD * 1000, mtime=0)[:-9], ":", "truncated gzip"),
    ],
)
def test_what_is_no_vcf_is_refused_in_a_line_and_leaves_nothing(
    here: Here, tmp_path: Path, data: bytes, where: str, what: str
) -> None:
    vcf = tmp_path / "v.vcf"
    vcf.write_bytes(data)
    with pytest.raises(InputError) as caught:
        here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    assert str(caught.value).startswith(f"{vcf}{where}") and what in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["v.vcf"]


def test_genotypes_pass_through(here: Here, tmp_path: Path) -> None:
    vcf = tmp_path / "v.vcf"
    ref = chr(here.letters["chr2"][300])
    end = b"\tGT:AD\t0/1:3,4\t./.\n"
    vcf.write_bytes(
        HEAD.replace(b"INFO\n", b"INFO\tFORMAT\tone\ttwo\n") + f"2\t301\t.\t{ref}\tN\t.\t.\tDP=1".encode() + end
    )
    here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    assert gzip.decompress((tmp_path / "o.vcf.gz").read_bytes()).endswith(b"\tDP=1;HDNA_REFUSED=not_acgt" + end)


def test_windows_line_ends_and_gzip_make_no_difference(here: Here, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", substitutions(here.letters, "chr2", range(300, 306)))
    other = tmp_path / "v.vcf.gz"
    other.write_bytes(gzip.compress(vcf.read_bytes().replace(b"\n", b"\r\n")))
    for path in (vcf, other):
        here.score(tmp_path / f"{path.name}.o.gz", vcf=str(path))
    assert (tmp_path / "v.vcf.o.gz").read_bytes() == (tmp_path / "v.vcf.gz.o.gz").read_bytes()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"context": 400}, "want at most 335"),
        ({"horizon": 399}, "want at most 398"),
        ({"labels": "CLNSIG"}, "defines no INFO entry"),
    ],
)
def test_what_does_not_fit_is_said(here: Here, tmp_path: Path, given: dict[str, Any], what: str) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", substitutions(here.letters, "chr2", [300]))
    with pytest.raises(InputError, match=what):
        here.score(tmp_path / "o.vcf.gz", vcf=str(vcf), **given)


def test_another_assembly_is_told(here: Here, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", [("chr2", 300, "N", "C", "."), ("chr9", 300, "A", "C", ".")])
    with pytest.raises(InputError, match=r"no allele fits .*1 unknown_contig"):
        here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    assert [path.name for path in tmp_path.iterdir()] == ["v.vcf"]


def interrupted(function: Callable[..., Any], after: int) -> Callable[..., Any]:
    """The function, but the call after so many is Ctrl-C."""
    calls = 0

    def called(*args: Any) -> Any:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return function(*args)

    return called


def test_an_interrupted_command_goes_on_to_the_same_bytes(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", substitutions(here.letters, "chr1", range(100, 112)))
    fasta = {"fasta": str(here.folder / "g.fa"), "vcf": str(vcf)}
    monkeypatch.setattr(parts, "RECORDS", 2)
    here.score(tmp_path / "whole.vcf.gz", **fasta)
    out = tmp_path / "o.vcf.gz"
    monkeypatch.setattr(parts, "score_part", interrupted(score_part, 4))
    with pytest.raises(KeyboardInterrupt):
        here.score(out, **fasta)
    (left,) = tmp_path.glob(".o.vcf.gz.*.partial")
    first = sorted((left / "parts").glob("*.bgz"))[0]
    first.write_bytes(first.read_bytes()[:-1] + b"!")  # scored again, beside two or three missing
    assert not out.exists() and (left / "genome.zarr" / "manifest.json").exists()
    monkeypatch.setattr(parts, "score_part", interrupted(score_part, 4))
    here.score(out, **fasta)
    assert out.read_bytes() == (tmp_path / "whole.vcf.gz").read_bytes()
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(InputError, match="already exists"):
        here.score(out, **fasta)


def test_parts_of_another_question_are_not_taken(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", substitutions(here.letters, "chr1", range(100, 106)))
    monkeypatch.setattr(parts, "RECORDS", 2)
    here.score(tmp_path / "whole.vcf.gz", vcf=str(vcf), horizon=32)
    with monkeypatch.context() as broken:
        broken.setattr(parts, "score_part", interrupted(score_part, 2))
        with pytest.raises(KeyboardInterrupt):
            here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    here.score(tmp_path / "o.vcf.gz", vcf=str(vcf), horizon=32)
    assert (tmp_path / "o.vcf.gz").read_bytes() == (tmp_path / "whole.vcf.gz").read_bytes()


def test_saturation_is_a_vcf_of_the_same_substitutions(here: Here, tmp_path: Path) -> None:
    """Regions overlap, are out of order, by the other naming, and hold an R and N, which nothing replaces."""
    bed = tmp_path / "r.bed"
    bed.write_text("track name=x\nchr2\t300\t310\n1\t1495\t1545\tname\nchr1 695 705\nchr1\t690\t697\n")
    here.score(tmp_path / "s.vcf.gz", bed=str(bed))
    places = [*range(690, 700), *range(701, 705), *range(1_495, 1_500), *range(1_540, 1_545)]
    rows = substitutions(here.letters, "chr1", places) + substitutions(here.letters, "chr2", range(300, 310))
    here.score(tmp_path / "o.vcf.gz", vcf=str(write_vcf(tmp_path / "v.vcf", rows)))

    def columns(path: Path) -> list[list[str]]:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        return [
            [*line.split("\t")[:2], *line.split("\t")[3:5], line.split("\t")[7]] for line in lines if line[0] != "#"
        ]

    assert columns(tmp_path / "s.vcf.gz") == columns(tmp_path / "o.vcf.gz")
    with pysam.VariantFile(str(tmp_path / "s.vcf.gz")) as read:
        assert dict(CONTIGS) == {name: read.header.contigs[name].length for name in read.header.contigs}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("chr2\t300\n", ":1: 2 columns: want contig, start and end"),
        ("chr2\t300\t3e2\n", ":1: start '300' and end '3e2': want two integers from 0"),
        ("#\nchr7\t3\t4\n", ":2: no contig 'chr7'"),
        ("chr2\t310\t310\n", ":1: start 310 is not before"),
        ("chr2\t310\t901\n", ":1: end 901 is past the end"),
        ("track\n", ": empty"),
    ],
)
def test_bad_regions_are_refused(here: Here, tmp_path: Path, text: str, what: str) -> None:
    bed = tmp_path / "r.bed"
    bed.write_text(text)
    with pytest.raises(InputError) as caught:
        here.score(tmp_path / "o.vcf.gz", bed=str(bed))
    assert str(caught.value).startswith(f"{bed}{what}")


def test_labels_are_judged_as_scikit_learn_does(here: Here, tmp_path: Path) -> None:
    """ClinVar's words and digits; a word that is neither, and no entry at all, are no labels."""
    words = ["Pathogenic", "Benign", "Likely_benign", "1", "0", "Uncertain_significance", ""]
    rows = []
    for place, position in enumerate(range(200, 410, 5)):
        for contig in ("chr1", "chr2"):
            ref = chr(here.letters[contig][position])
            word = words[place % len(words)]
            rows.append((contig, position + 1, ref, "C" if ref != "C" else "G", f"CLNSIG={word}" if word else "."))
    vcf = write_vcf(tmp_path / "v.vcf", rows, info=("CLNSIG",))
    labelled = here.score(tmp_path / "o.vcf.gz", vcf=str(vcf), labels="CLNSIG").body["labelled"]
    truth = {"Pathogenic": 1, "1": 1, "Benign": 0, "Likely_benign": 0, "0": 0}
    ratios = [float(ones[0]) for ones in values_of(tmp_path / "o.vcf.gz", "HDNA_LLR")]
    pairs = [
        (truth[str(row[4])[7:]], -ratio) for row, ratio in zip(rows, ratios, strict=True) if str(row[4])[7:] in truth
    ]
    y, score = zip(*pairs, strict=True)
    assert labelled["auroc"]["value"] == pytest.approx(peer.roc_auc_score(y, score), abs=1e-3)
    assert labelled["auprc"]["value"] == pytest.approx(peer.average_precision_score(y, score), abs=1e-3)
    assert labelled["auroc"]["low"] is not None  # two chromosomes
    assert (labelled["positives"], labelled["negatives"], labelled["unlabelled"]) == (24, 36, 24)
    assert labelled["by_class"]["SNV"]["auroc"] == labelled["auroc"]
    assert labelled["by_class"]["deletion"]["auroc"]["value"] is None


def test_an_unlucky_write_leaves_no_output(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vcf = write_vcf(tmp_path / "v.vcf", substitutions(here.letters, "chr2", [300]))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scoring, "_commit", full)
    with pytest.raises(InputError, match="No space left"):
        here.score(tmp_path / "o.vcf.gz", vcf=str(vcf))
    assert [path.name for path in tmp_path.iterdir()] == ["v.vcf"]

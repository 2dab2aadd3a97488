"""Public labelled sets by name: what each is judged by, which files it wants, and where to get them.

Numbers of GenomicBenchmarks and of the Nucleotide Transformer's tasks: HyenaDNA's configs/dataset
(HazyResearch/hyena-dna@d553021); of chromatin profiles: Zhou and Troyanskaya, 2015; of species: HyenaDNA, section 4.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from hdna.downstream.tasks.problem import Kind
from hdna.errors import InputError

_GENOMIC_BENCHMARKS = "https://github.com/ML-Bioinfo-CEITEC/genomic_benchmarks (doi:10.1186/s12863-023-01123-8)"
_HUGGING_FACE = "https://huggingface.co/datasets/InstaDeepAI/nucleotide_transformer_downstream_tasks"
_NUCLEOTIDE_TRANSFORMER = f"{_HUGGING_FACE} (doi:10.1101/2023.01.11.523679)"
_DEEPSEA = "https://deepsea.princeton.edu/help (doi:10.1038/nmeth.3547)"
_GENOMES = "https://www.ncbi.nlm.nih.gov/datasets/genome/ (the protocol: arXiv 2306.15794, section 4.4)"


@dataclass(frozen=True)
class Preset:
    """A public labelled set."""

    name: str
    kind: Kind
    metric: str
    """What its papers judge by: a figure of `figures`."""
    classes: int
    """Or labels."""
    length: int
    """Bases of most rows, or of the longest."""
    source: str
    """Where to get it."""
    files: str = "train.csv and test.csv (or .tsv, .parquet, .fasta with '|label' in headers), valid or dev if there is"
    genomes: tuple[str, ...] = ()
    """Of species: which FASTA files to cut windows of."""
    windows: int = 0
    """Of each of those genomes."""
    label_groups: Mapping[str, slice] = field(default_factory=dict)
    """Labels whose median AUROC is reported."""

    @property
    def folder(self) -> str:
        """What the set's own folder is named upstream."""
        return self.name.partition(":")[2]


def _benchmark(name: str, length: int, classes: int = 2) -> Preset:
    files = "train/CLASS/*.txt and test/CLASS/*.txt as downloaded, or train.tsv and test.tsv (seq, label)"
    return Preset(f"gb:{name}", "single_label", "accuracy", classes, length, _GENOMIC_BENCHMARKS, files)


def _transformer(name: str, length: int, metric: str, classes: int = 2) -> Preset:
    return Preset(f"nt:{name}", "single_label", metric, classes, length, _NUCLEOTIDE_TRANSFORMER)


def _species(name: str, length: int, windows: int) -> Preset:
    genomes = ("human", "lemur", "mouse", "pig", "hippo")
    files = "a genome of each: " + ", ".join(f"{species}.fa" for species in genomes) + " (or .fasta, .fna, with .gz)"
    kind: Kind = "single_label"
    return Preset(f"species:{name}", kind, "accuracy", len(genomes), length, _GENOMES, files, genomes, windows)


_CHROMATIN = Preset(
    "chromatin:deepsea",
    "multi_label",
    "auroc",
    919,
    1000,
    _DEEPSEA,
    "tables train, valid, test: 919 columns of 0 and 1 in DeepSEA's order, and sequence, or chromosome, start, end",
    label_groups={"dnase": slice(0, 125), "tf": slice(125, 815), "histone": slice(815, 919)},
)
_HISTONES = ("H3", "H3K4me1", "H3K4me2", "H3K4me3", "H3K9ac", "H3K14ac", "H3K36me3", "H3K79me3", "H4", "H4ac")

PRESETS = (
    _benchmark("dummy_mouse_enhancers_ensembl", 2381),
    _benchmark("demo_coding_vs_intergenomic_seqs", 200),
    _benchmark("demo_human_or_worm", 200),
    _benchmark("human_enhancers_cohn", 500),
    _benchmark("human_enhancers_ensembl", 269),
    _benchmark("human_ensembl_regulatory", 401, 3),
    _benchmark("human_nontata_promoters", 251),
    _benchmark("human_ocr_ensembl", 315),
    _transformer("enhancers", 200, "mcc"),
    _transformer("enhancers_types", 200, "mcc", 3),
    *(_transformer(name, 500, "mcc") for name in _HISTONES),
    _transformer("promoter_all", 300, "f1_macro"),
    _transformer("promoter_no_tata", 300, "f1_macro"),
    _transformer("promoter_tata", 300, "f1_macro"),
    _transformer("splice_sites_acceptors", 600, "f1_macro"),
    _transformer("splice_sites_donors", 600, "f1_macro"),
    _transformer("splice_sites_all", 400, "f1_macro", 3),
    _CHROMATIN,
    _species("1k", 1_024, 2_000),
    _species("32k", 32_768, 500),
    _species("250k", 250_000, 200),
    _species("450k", 450_000, 100),
    _species("1m", 1_000_000, 100),
)


def find_preset(name: str) -> Preset:
    """The preset of that name, with or without its family. Raises InputError when there is none."""
    found = [preset for preset in PRESETS if name in (preset.name, preset.folder)]
    if found:
        return found[0]
    names = [alias for preset in PRESETS for alias in (preset.name, preset.folder)]
    near = get_close_matches(name, names, n=1)
    raise InputError(f"no preset {name!r}{f'; {near[0]}?' if near else ''}: 'hdna eval presets' lists them")

"""The demo of docs/evaluate.md: a small model of several genomes, and everything that `hdna eval` has to say of it.

The commands that a user would give, one after another: preparation, `hdna train demo`, each command of `hdna eval`, the
report. What is there already is not made again, so that it can be interrupted; it takes an hour for training and
several for the labelled sets on two cores.

A labelled set is a folder: train.csv, dev.csv and test.csv; or dev.csv, then learned from, and test.csv; or test.tsv of
GenomicBenchmarks, in a folder gb_NAME.

Example: python bench/demo.py chr2.fa.gz yeast.fa --labelled labelled --gtf yeast.gtf --gtf-genome yeast.fa --out demo
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HDNA = Path(sys.executable).with_name("hdna")
SMALLEST = "gue_prom_prom_core_tata"
"""The set of the shortest sequences: that prompts of several fit the context of."""


def hdna(made: Path, command: str) -> None:
    """Give a command, as a user would, unless what it makes is there."""
    if not made.exists():
        print(f"hdna {command}", flush=True)
        subprocess.run([HDNA, *shlex.split(command)], check=True)


def train(genomes: Sequence[Path], out: Path) -> Path:
    """The run."""
    stores = [out / f"{genome.name.partition('.')[0]}.zarr" for genome in genomes]
    for genome, store in zip(genomes, stores, strict=True):
        hdna(store, f"prep genome {genome} --out {store}")
    shards, run = out / "shards", out / "run"
    hdna(shards, f"prep shards {' '.join(map(str, stores))} --out {shards} --window 65536")
    subprocess.run([HDNA, "train", "demo", f"data.shards=[{shards}]", f"run.url={run}"], check=True)
    return run


def splits_of(folder: Path) -> str:
    """The options that name a labelled set's files."""
    if folder.name.startswith("gb_"):
        return f"--preset gb:{folder.name.removeprefix('gb_')} --data {folder}"
    if (folder / "train.csv").exists():
        return f"--train {folder}/train.csv --valid {folder}/dev.csv --test {folder}/test.csv"
    return f"--train {folder}/dev.csv --test {folder}/test.csv"


def epochs_for(folder: Path) -> int:
    """Four, fewer of more than 15,000 rows, so that two cores take minutes for a set and not hours."""
    longest = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    with longest.open(encoding="utf-8") as lines:
        return max(1, min(4, 60_000 // sum(1 for _ in lines)))


def judge_tasks(run: Path, labelled: Path, judged: Path) -> None:
    """Fine-tuning beside all baselines, a linear probe, and on the smallest set a curve and prompts."""
    alone = " --without scratch --without cnn --without kmer_boosting"
    for folder in sorted(labelled.iterdir(), key=lambda folder: sum(file.stat().st_size for file in folder.iterdir())):
        ways = {"probe": alone, "finetune": f" --epochs {epochs_for(folder)}"}
        if folder.name == SMALLEST:
            ways["finetune"] += " --curve"
            ways |= {"soft_prompt": alone, "in_context": alone}
        for way, more in ways.items():
            out = judged / folder.name / way
            hdna(out / "task.json", f"eval task {run} {splits_of(folder)} --method {way}{more} --out {out}")


def judge_rest(run: Path, gtf: Path, genome: Path, judged: Path, out: Path) -> None:
    """All other commands."""
    hdna(judged / "context" / "context.json", f"eval context {run} --out {judged}/context")
    hdna(judged / "needle" / "needle.json", f"eval needle {run} --out {judged}/needle")
    regions = out / "regions.bed"
    contig = gtf.read_text(encoding="utf-8").splitlines()[-1].split("\t")[0]
    regions.write_text(f"{contig}\t100000\t101000\n", encoding="utf-8")
    scored = judged / "variants" / "saturated.vcf.gz"
    controls = f"--controls --gtf {gtf}"
    hdna(scored, f"eval variants {run} --saturate {regions} --fasta {genome} {controls} --out {scored}")
    embedded = judged / "embeddings" / "regions.parquet"
    hdna(embedded, f"eval embed {run} --bed {regions} --fasta {genome} --out {embedded}")
    hdna(judged / "attention.json", f"bench attention --out {judged}/attention.json")
    first = judged / "first_result"
    if not first.exists():
        subprocess.run([sys.executable, Path(__file__).with_name("first_result.py"), "--out", first], check=True)


def main() -> None:
    """Train, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genomes", nargs="+", type=Path, help="FASTA, one file for each assembly")
    parser.add_argument("--labelled", type=Path, required=True, help="folder of labelled sets")
    parser.add_argument("--gtf", type=Path, required=True, help="genes, for the controls of variant scores")
    parser.add_argument("--gtf-genome", type=Path, required=True, help="the genome that they lie on")
    parser.add_argument("--out", type=Path, required=True, help="folder of stores, shards, run and evidence")
    args = parser.parse_args()
    judged = args.out / "judged"
    run = train(args.genomes, args.out)
    judge_rest(run, args.gtf, args.gtf_genome, judged, args.out)
    judge_tasks(run, args.labelled, judged)
    subprocess.run([HDNA, "eval", "report", run, "--out", judged], check=True)


if __name__ == "__main__":
    main()

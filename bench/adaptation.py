"""A model of human chr2 adapted to C. elegans, beside training from scratch: the curve of docs/adapt.md.

The commands that a user would give: `hdna prep`, `hdna train bench/chr2.yaml`, `hdna adapt`. JSON of every evaluation
goes to bench/results; `python bench/tables.py` draws it.

Example: python bench/adaptation.py chr2_1-2333275.fa.gz ce.fa
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from hdna.benchmark.timing import conditions
from hdna.run.files import BASELINES, read_json, read_metrics

HERE = Path(__file__).parent
OUT = HERE / "results" / "cpu-2-cores" / "adaptation.json"
HDNA = Path(sys.executable).with_name("hdna")


def hdna(command: str) -> None:
    """Give a command, as a user would."""
    print(f"hdna {command}", flush=True)
    subprocess.run([HDNA, *shlex.split(command)], check=True)


def curve(name: str, url: str) -> dict[str, Any]:
    """A run's evaluations by tokens, from the score of the weights that it began with."""
    found = read_json(url, BASELINES)
    begun = [[0, found["source"]]] if "source" in found else []
    scored = [[r.tokens, r.valid_bits_per_base] for r in read_metrics(url) if r.valid_bits_per_base is not None]
    return {"run": name, "context_length": read_metrics(url)[-1].context_length, "valid": begun + scored, **found}


def main() -> None:
    """Train, adapt, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="FASTA of the genome to pretrain on")
    parser.add_argument("genome", help="FASTA of the genome to adapt to")
    parser.add_argument("overrides", nargs="*", help="key=value, of the adaptation's recipe")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        source, adapted = f"{folder}/source", f"{folder}/adapted"
        hdna(f"prep genome {args.source} --out {folder}/store.zarr")
        hdna(f"prep shards {folder}/store.zarr --out {folder}/shards --window 65536")
        hdna(f"train {HERE / 'chr2.yaml'} data.shards=[{folder}/shards] run.url={source}")
        hdna(f"adapt {args.genome} --from {source} --out {adapted} {' '.join(args.overrides)}")
        rows = [curve("adapted", adapted), curve("from scratch", f"{adapted}-scratch")]
    OUT.write_text(json.dumps({"conditions": conditions(torch.device("cpu")), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

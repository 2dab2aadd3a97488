"""The first hours on a GPU: stages of at most ten minutes, each in a process of its own, each leaving JSON; at last an
hour of pretraining.

Without a GPU, or with --reduced, small sizes run on the CPU: they show that the stages work, and measure nothing.

Examples:
  python bench/gpu/run.py
  python bench/gpu/run.py --stages golden layouts --out bench/results
"""

import argparse
import importlib
import json
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from hdna.benchmark.timing import conditions

STAGES = (
    "golden",
    "layouts",
    "graphs",
    "steps",
    "convolution",
    "attention",
    "precision",
    "quickstart",
    "pretraining",
)
"""Modules beside this one, what must be right first."""
LIMIT_S = 600
HOUR_S = 3600


def main() -> int:
    """Run the stages and say what each found; 1 when one found a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="folder of the JSON")
    parser.add_argument("--reduced", action="store_true", help="small sizes on the CPU")
    parser.add_argument("--as-stage", choices=STAGES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    reduced = args.reduced or not torch.cuda.is_available()
    device = torch.device("cpu" if reduced else "cuda")
    folder = args.out / re.sub(r"\W+", "-", str(conditions(device)["device"]).lower())
    if args.as_stage:
        print(json.dumps(_measured(args.as_stage, device, reduced)))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    return max(_stage(stage, folder, reduced) for stage in args.stages)


def _measured(stage: str, device: torch.device, reduced: bool) -> dict[str, Any]:
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    try:
        found: dict[str, Any] = importlib.import_module(stage).measure(device, reduced)
    except Exception:
        found = {"rows": [], "problems": [traceback.format_exc()]}
    return {"stage": stage, "reduced": reduced, **conditions(device), **found}


def _stage(stage: str, folder: Path, reduced: bool) -> int:
    command = [sys.executable, __file__, "--as-stage", stage, *(["--reduced"] if reduced else [])]
    print(f"== {stage}", flush=True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_limit(stage), check=False)
        found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else _ended(done.returncode)
    except subprocess.TimeoutExpired:
        found = _ended(f"the limit of {_limit(stage)} s")
    (folder / f"{stage}.json").write_text(json.dumps(found, indent=1) + "\n")
    for row in found["rows"]:
        print("  ", " ".join(f"{key}={_short(value)}" for key, value in row.items()))
    for problem in found["problems"]:
        print(f"   PROBLEM: {problem}")
    return 1 if found["problems"] else 0


def _limit(stage: str) -> int:
    return LIMIT_S + (HOUR_S if stage == "pretraining" else 0)


def _ended(by: object) -> dict[str, Any]:
    return {"rows": [], "problems": [f"the stage's process ended by {by}"]}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())

"""From a FASTA file to a first evaluated result: seconds, what a user types and edits, what mistakes are told.

Runs the shipped commands on a small synthetic genome in a temporary folder, as a newcomer would, each in a process of
its own, and writes DIR/first_result.json, which `hdna eval report` reads. The recipe is taken as it is, so it takes the
minutes that it says.

Example: python bench/first_result.py --out judged/first_result
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hdna.downstream.benefits.bodies import Command, FirstResult, Mistake
from hdna.downstream.benefits.gather import FIRST_RESULT
from hdna.downstream.evidence import measured, write_evidence
from hdna.downstream.subject import load_subject
from hdna.report.history import read_history

GENOME, RUN = "genome.fa", "runs/first"
STEPS = {
    "hdna prep genome": (GENOME, "--out genome.zarr"),
    "hdna prep shards": ("genome.zarr", "--out shards", "--window 65536"),
    "hdna train": ("quickstart", "data.shards=[shards]", f"run.url={RUN}"),
    "hdna report": (RUN,),
}
"""From the FASTA file to a page with bits per base on held-out sequence: commands, and the values that a user gives."""
YAML_LINES = 0
"""That a user edits: the recipe is taken as shipped, and what differs is given as key=value."""
MISTAKES = {
    "a FASTA file that is not there": "hdna prep genome genom.fa --out x.zarr",
    "FASTQ instead of FASTA": "hdna prep genome reads.fastq --out x.zarr",
    "a genome store where shards belong": "hdna train quickstart data.shards=[genome.zarr] run.url=runs/x",
    "a key that no recipe has": "hdna train quickstart data.shards=[shards] run.url=runs/x optim.lr=1e-3",
    "shards that were never made": "hdna train quickstart data.shards=[shard] run.url=runs/x",
    "a report before any training": "hdna report runs/x",
}
"""What newcomers do, after the steps."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    message: str
    """What it wrote to standard error, paths in the current folder without it."""


Shell = Callable[[str], Ended]


def main() -> None:
    """Print each command as it ends, then write the evidence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder or bucket for first_result.json")
    parser.add_argument("--bases", type=int, default=2_000_000, help="size of the genome")
    args = parser.parse_args()
    out = args.out if "://" in args.out else str(Path(args.out).resolve())
    with TemporaryDirectory(prefix="hdna-first-") as folder, chdir(folder):
        succeed(shell, f"hdna prep synth --out {GENOME} --contigs 4 --seed 2222 --bases {args.bases}")
        Path("reads.fastq").write_text("@read\nACGT\n+\n!!!!\n")
        found = measure(shell, args.bases)
        subject = load_subject(RUN)
        with measured(subject.device) as cost:
            pass  # the work was done by other processes: only the device and the date are of this one
        cost.seconds, cost.bases, cost.peak_memory_bytes = found.seconds, args.bases, 0
        print(write_evidence(out, FIRST_RESULT, subject, cost, asdict(found)))


def measure(run: Shell, bases: int) -> FirstResult:
    """The steps timed, the result read, the mistakes made, in the current folder."""
    commands = timed(run, STEPS)
    history = read_history(RUN)
    return FirstResult(
        bases,
        round(sum(command.seconds for command in commands), 1),
        commands,
        sum(map(len, STEPS.values())),
        YAML_LINES,
        history.valid_bits_per_base,
        history.baselines.get("markov"),
        provoked(run, MISTAKES),
    )


def timed(run: Shell, steps: Mapping[str, Sequence[str]]) -> list[Command]:
    """Every step with its seconds; the script ends with the message of one that fails."""
    done = []
    for command, values in steps.items():
        line, began = " ".join([command, *values]), time.monotonic()
        succeed(run, line)
        done.append(Command(line, round(time.monotonic() - began, 1)))
    return done


def provoked(run: Shell, mistakes: Mapping[str, str]) -> list[Mistake]:
    """What is said to each mistake."""
    found = []
    for what, line in mistakes.items():
        ended = run(line)
        found.append(Mistake(what, ended.status, ended.message, len(ended.message.splitlines())))
    return found


def succeed(run: Shell, line: str) -> None:
    """Run a command that must not fail."""
    ended = run(line)
    if ended.status:
        sys.exit(f"{line}: {ended.message}")


def shell(line: str) -> Ended:
    """Run a command of this environment's hdna in the current folder."""
    words = [str(Path(sys.executable).with_name("hdna")), *shlex.split(line)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    print(f"exit status {done.returncode}: {line}", flush=True)
    return Ended(done.returncode, done.stderr.strip().replace(f"{Path.cwd()}/", ""))


if __name__ == "__main__":
    main()

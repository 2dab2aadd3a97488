"""The labelled sets of bench/demo.py as one table in Markdown: the main figure of every method, with its 95 % interval.

Example: python bench/demo_table.py demo/judged
"""

import argparse
from collections.abc import Mapping
from typing import Any

from hdna.downstream.evidence import find_evidence

COLUMNS = {
    "finetune": "fine-tuned",
    "scratch": "from scratch",
    "probe": "linear probe",
    "cnn": "CNN",
    "kmer_logistic": "k-mer logistic",
    "kmer_boosting": "k-mer boosting",
    "soft_prompt": "soft prompt",
    "in_context": "in context",
}


def interval(figure: Mapping[str, float]) -> str:
    """A figure with its interval, in two digits: intervals are wider than the third."""
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})".replace("-", "−")


def columns_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The main figure by method: its own, and those of its baselines."""
    main = body["main"]
    return {
        body["method"]: body["metrics"][main],
        **{name: own["metrics"][main] for name, own in body["baselines"].items()},
    }


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judged", help="folder of evidence")
    judged: dict[str, dict[str, Any]] = {}
    heads = dict[str, str]()
    for evidence in find_evidence(parser.parse_args().judged):
        if evidence.kind == "task":
            body = evidence.body
            rows = body["rows"]
            heads[body["task"]] = f"{body['task']} | {rows['train']:,} / {rows['test']:,} | {body['main']}"
            judged.setdefault(body["task"], {}).update(columns_of(body))
    names = [name for name in COLUMNS if any(name in row for row in judged.values())]
    print("| Set | Train / test rows | Figure |", " | ".join(COLUMNS[name] for name in names), "|")
    print("|" + "---|" * (3 + len(names)))
    for task, row in judged.items():
        cells = [interval(row[name]) if name in row else "" for name in names]
        print(f"| {heads[task]} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()

"""Evidence about a checkpoint, written by hand and not by the commands that make it."""

import json
from pathlib import Path
from typing import Any

DEVICE, OTHER_DEVICE = "CPU, 2 thread(s) of 2", "NVIDIA H200"
DATE = "2026-01-02T03:04:05Z"


def est(value: float, spread: float = 0.05) -> dict[str, float]:
    """A figure with its interval."""
    return {"value": value, "low": value - spread, "high": value + spread}


def baseline(mcc: float, difference: float) -> dict[str, Any]:
    """A model beside the judged one."""
    return {
        "metrics": {"mcc": est(mcc), "auroc": est(mcc / 2 + 0.5), "recall_at_k": est(0.2)},
        "difference": {"mcc": est(difference), "auroc": est(difference / 2), "recall_at_k": est(0.0)},
    }


def task(name: str, method: str = "probe", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A task that the k-mers win, the small CNN loses, and where training from scratch is as good."""
    body = {
        "task": name,
        "kind": "single_label",
        "method": method,
        "names": ["no", "yes"],
        "main": "mcc",
        "rows": {"train": 1_000, "valid": 200, "test": 345},
        "metrics": {"mcc": est(0.512), "auroc": est(0.777), "recall_at_k": est(0.25), "ece": est(0.1)},
        "baselines": {
            "kmer_logistic": baseline(0.634, -0.122),
            "cnn": baseline(0.301, 0.211),
            "scratch": baseline(0.501, 0.011),
        },
        "leaks": {
            "train_test": {
                "rows": 345,
                "found": {"exact": 3, "0.99": 4, "0.95": 6, "0.90": 7, "not_compared": 0},
                "rows_without": 338,
                "metrics_without": {"mcc": est(0.487), "auroc": est(0.7)},
                "differences_without": {"cnn": {"mcc": est(0.186)}},
            },
            "pretraining_test": {
                "rows": 345,
                "found": {"0.99": 0, "0.95": 0, "0.90": 345, "not_compared": 0},
                "rows_without": 0,
                "metrics_without": None,
                "differences_without": None,
            },
        },
        "calibration": [
            {"rows": 200, "confidence": 0.6, "right": 0.55},
            {"rows": 0, "confidence": None, "right": None},
            {"rows": 145, "confidence": 0.9, "right": 0.81},
        ],
        "learning_curve": [
            {"labels": n, "seeds": 1, "pretrained": est(q), "scratch": est(q - d), "difference": est(d)}
            for n, q, d in ((32, 0.2, 0.18), (64, 0.35, 0.17), (1200, 0.512, 0.011))
        ],
        "labels_saved": {"quality_of": "scratch with all labels", "share": est(0.123)},
        "strata": {"gc": {"0.300 to 0.412": {"rows": 115, "metrics": {method: {"mcc": est(0.444)}}}}},
    }
    return body | more


CONTEXT = {
    "split": "test",
    "target_bases": 123_456,
    "verdict": "Longer context helps: 0.0200 bits per base less.",
    "contexts": [
        {
            "context_length": length,
            "bits_per_base": bits,
            "low": bits - 0.01,
            "high": bits + 0.01,
            "bases": 123_456,
            "repeat_bits_per_base": bits - 0.2,
            "unique_bits_per_base": bits + 0.1,
        }
        for length, bits in ((64, 1.9512), (256, 1.9312))
    ],
    "sets": [],
}
VARIANTS = {
    "alleles": 4_321,
    "context_length": 128,
    "horizon": 64,
    "method": "differences",
    "strands": 2,
    "refused": {"REF mismatch": 5},
    "labelled": {
        "positives": 100,
        "auroc": est(0.511, 0.02),
        "auprc": est(0.3),
        "by_class": {"snv": {"auroc": est(0.52)}},
    },
    "controls": {"shuffled": {"auroc": est(0.498)}},
    "seconds_per_thousand_alleles": 1.25,
}
EMBED = {
    "sequences": 12,
    "bases": 3_000_000,
    "pool": "mean",
    "layer": 2,
    "dtype": "float16",
    "megabases_per_second": 0.5,
    "hours_for_3_gigabases": 1.667,
}
NEEDLE = {
    "unit_bases": 24,
    "verdict": "It copies from 64 bases back, of 128 that were tried.",
    "distances": [
        {
            "distance": distance,
            "copies": 50,
            "bits_per_base": 2.0 - gain,
            "control_bits_per_base": 2.0,
            "gain": gain,
            "low": gain - 0.1,
            "high": gain + 0.1,
        }
        for distance, gain in ((32, 0.4), (64, 0.3), (128, 0.05))
    ],
}
FIRST_RESULT = {
    "genome_bases": 400_000,
    "seconds": 95.5,
    "commands": [{"command": "hdna prep genome g.fa --out g.zarr", "seconds": 4.5}],
    "edits": 6,
    "yaml_lines": 0,
    "valid_bits_per_base": 1.95,
    "markov_bits_per_base": 1.94,
    "mistakes": [{"mistake": "no such file", "status": 1, "message": "g: no such file", "lines": 1}],
}
ATTENTION = {
    "device": OTHER_DEVICE,
    "date": DATE,
    "setting": {"width": 128, "layers": 2, "head_dim": 64, "bf16": True, "batch": 1},
    "rows": [
        {"context_length": 1024, "hyena_seconds": 0.5, "attention_seconds": 0.25, "attention": "flash", "ratio": 0.5},
        {"context_length": 2048, "hyena_seconds": 1.0, "attention_seconds": 2.0, "attention": "flash", "ratio": 2.0},
        {"context_length": 4096, "hyena_seconds": 2.0, "attention_seconds": None, "attention": "flash", "ratio": None},
    ],
}


def write(
    path: Path, kind: str, checksum: str, body: dict[str, Any], device: str = DEVICE, seconds: float = 12.0
) -> None:
    """One file of evidence, made on 1.5 megabases."""
    cost = {
        "seconds": seconds,
        "bases": 1_500_000,
        "peak_memory_bytes": 3 * 2**29,
        "device": device,
        "dtype": "fp32",
        "date": DATE,
        "hdna": "9.8.7",
    }
    about = {"url": "runs/x/checkpoints/step-000010", "step": 10, "tokens": 5_120, "checksum": checksum}
    head = {"format": "hdna-evidence", "version": 1, "evidence": kind, "subject": about, "cost": cost}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(head | body))


def write_all(folder: Path, checksum: str) -> None:
    """Evidence of every kind, the embedding from another device."""
    write(folder / "context" / "context.json", "context", checksum, CONTEXT)
    write(folder / "enhancers" / "task.json", "task", checksum, task("enhancers"))
    write(folder / "icl" / "task.json", "task", checksum, task("promoters", "in_context", learning_curve=[]))
    write(folder / "variants.json", "variants", checksum, VARIANTS)
    write(folder / "embed.json", "embed", checksum, EMBED, device=OTHER_DEVICE)
    write(folder / "needle" / "needle.json", "needle", checksum, NEEDLE)
    write(folder / "first_result" / "first_result.json", "first_result", "cd" * 32, FIRST_RESULT)
    (folder / "attention.json").write_text(json.dumps(ATTENTION))

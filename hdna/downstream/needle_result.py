"""What needles say: the gain at each distance with its interval, a plot, a sentence."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hdna.downstream.bootstrap import Estimate, estimate
from hdna.downstream.metrics import Floats
from hdna.downstream.needle import Needle
from hdna.report.curves import Curve, curves_plot

LEAST_GAIN = 0.01
"""Bits per base: a gain is one if its interval lies above this. Large weights at random, which copy nothing, change by
some thousandths with the order of what was read, and over 500 copies the interval of that need not include zero."""

Row = dict[str, Any]


def needle_body(needles: Sequence[Needle], unit: int, split: str) -> dict[str, Any]:
    """The entries of needle.json. Intervals are over copies."""
    rows = [_row(needle) for needle in needles]
    return {
        "unit_bases": unit,
        "split": split,
        "least_gain": LEAST_GAIN,
        "farthest": farthest(rows),
        "verdict": verdict(rows, unit),
        "distances": rows,
    }


def farthest(rows: Sequence[Row]) -> int | None:
    """The distance up to which the gain is shown at every distance, from the nearest on; None: not at the nearest.

    In this order no distance is tried once one has failed, so that many distances do not make a chance finding likelier
    than one has.
    """
    reached = None
    for row in rows:
        if row["low"] is None or row["low"] <= LEAST_GAIN:
            break
        reached = row["distance"]
    return reached


def verdict(rows: Sequence[Row], unit: int) -> str:
    """How far back the model copies from, or that it does not."""
    reached = farthest(rows)
    if reached is None:
        first = rows[0]
        return (
            f"It does not copy: at the nearest distance, {first['distance']:,} bases, the gain of having read the "
            f"{unit} bases before is {_shown(first)}, not above {LEAST_GAIN}."
        )
    row = next(row for row in rows if row["distance"] == reached)
    return (
        f"It copies from {reached:,} bases back, of {rows[-1]['distance']:,} that were tried: having read the {unit} "
        f"bases before saves {_shown(row)}."
    )


def needle_plot(rows: Sequence[Row]) -> str:
    """The gain over distance, with bands, as SVG."""
    curves = [
        Curve(
            label,
            [row["distance"] for row in rows],
            [row[f"{prefix}gain"] for row in rows],
            [row[f"{prefix}low"] for row in rows],
            [row[f"{prefix}high"] for row in rows],
        )
        for prefix, label in (("", "the whole copy"), ("second_half_", "its second half"))
    ]
    title = "Bits per base saved by having read the same bases before, by distance"
    return curves_plot(curves, "needle", title, "distance (bases)", "bits per base saved", log_x=True)


def _row(needle: Needle) -> Row:
    gain_NU, half = needle.control_NU - needle.copied_NU, needle.copied_NU.shape[1] // 2
    whole, second = _estimated(gain_NU), _estimated(gain_NU[:, half:])
    return {
        "distance": needle.distance,
        "copies": len(gain_NU),
        "bits_per_base": float(needle.copied_NU.mean()),
        "control_bits_per_base": float(needle.control_NU.mean()),
        "gain": whole.value,
        "low": whole.low,
        "high": whole.high,
        **{f"second_half_{key.replace('value', 'gain')}": value for key, value in asdict(second).items()},
    }


def _estimated(gain_NU: Floats) -> Estimate:
    gain_N = gain_NU.mean(1)
    return estimate(lambda copies: float(gain_N[copies].mean()), np.arange(len(gain_N)))


def _shown(row: Row) -> str:
    interval = "no interval" if row["low"] is None else f"95 % interval {row['low']:.4f} to {row['high']:.4f}"
    return f"{row['gain']:.4f} bits per base ({interval})"

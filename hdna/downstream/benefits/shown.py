"""Numbers as the page shows them."""

from collections.abc import Iterator, Mapping

from hdna.downstream.benefits.form import Source
from hdna.downstream.bootstrap import Estimate
from hdna.report.tables import NONE

NOT_STATED = "not stated"
_ESTIMATE = {"value", "low", "high"}


def in_words(figure: Estimate, signed: bool = False) -> str:
    """`0.512 (0.480 to 0.544)`; without an interval, `0.512`; a dash where it is not defined."""
    if figure.value is None:
        return NONE
    if figure.low is None or figure.high is None:
        return number(figure.value, signed)
    return f"{number(figure.value, signed)} ({number(figure.low, signed)} to {number(figure.high, signed)})"


def number(value: float | None, signed: bool = False, digits: int = 3) -> str:
    """With so many decimals, and the minus sign of print."""
    if value is None:
        return NONE
    return f"{value + 0.0:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def compact(value: float | None) -> str:
    """Four significant digits, or all before the point, for what may be small or large: seconds, prices."""
    return NONE if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def day(date: str) -> str:
    """Of a time in UTC."""
    return date[:10] or f"date {NOT_STATED}"


def gib(size: int | None) -> str:
    """Bytes in GiB, or in MiB if few; a dash where none were measured."""
    if not size:
        return NONE
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"


def as_estimate(value: object) -> Estimate:
    """An entry of evidence that should be a figure with its interval; undefined if it is something else."""
    entry = value if isinstance(value, dict) else {}
    numbers = (entry.get(name) for name in ("value", "low", "high"))
    return Estimate(*(float(one) if isinstance(one, int | float) else None for one in numbers))


def leaves(tree: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Names and values of a nested part of evidence, figures with their intervals."""
    for key, value in tree.items():
        here = (*path, str(key).replace("_", " "))
        if not isinstance(value, dict):
            yield ", ".join(here), _leaf(value)
        elif not value.keys() >= _ESTIMATE:
            yield from leaves(value, here)
        else:
            yield ", ".join(here), in_words(as_estimate(value))


def _leaf(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return compact(value)
    return NONE if value is None else str(value)


def device(name: str, other: bool) -> str:
    """A device, marked if it is another than the checkpoint's."""
    return f"{name or NOT_STATED}{' (another device)' if other else ''}"


def origin(source: Source) -> str:
    """Where a figure is from, in a sentence."""
    return f"From {source.file}: {device(source.device, source.other_device)}, {day(source.date)}."

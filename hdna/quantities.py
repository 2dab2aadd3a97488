"""Times and large numbers in few letters, for tables and progress."""

_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.4 h or 2.1 d; the unit changes at one and a half of the next."""
    for size, unit in _UNITS:
        if seconds >= 1.5 * size:
            value = seconds / size
            return f"{value:.0f} {unit}" if unit == "min" or value >= 10 else f"{value:.1f} {unit}"
    return f"{seconds:.0f} s"


def short(number: float) -> str:
    """Three digits and a prefix of SI: 28.4k, 3.01M, 512."""
    for size, prefix in _PREFIXES:
        if number >= 0.9995 * size:
            return f"{number / size:#.3g}".rstrip(".") + prefix
    return f"{number:.3g}" if number % 1 else f"{number:.0f}"

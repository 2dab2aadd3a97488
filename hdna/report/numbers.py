"""Numbers and durations as pages print them."""

NONE = "–"
"""In place of a number that is not known."""
MINUS = "\N{MINUS SIGN}"


def number(value: float, decimals: int | None = None) -> str:
    """A number with so many decimals, or else with four digits: 1.8932; 1.893, 22,414, 4.5e−05."""
    if decimals is not None:
        text = f"{value:.{decimals}f}"
    else:
        text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return text.replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """As 2 d 3 h, 1 h 12 min, 3 min 5 s or 8.5 s; a dash if unknown."""
    if seconds is None:
        return NONE
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"

"""Times in a run's files: UTC, to the second, by the clock of whoever writes them."""

from datetime import UTC, datetime, timedelta

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> str:
    """The time, as in 2026-01-31T12:00:00Z."""
    return datetime.now(UTC).strftime(_FORMAT)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one such text to another. Raises ValueError when one is none."""
    return (datetime.strptime(later, _FORMAT) - datetime.strptime(earlier, _FORMAT)).total_seconds()


def unix_seconds(time: str) -> float:
    """Seconds since 1970. Raises ValueError when `time` is no such text."""
    return seconds_between("1970-01-01T00:00:00Z", time)


def shifted(time: str, seconds: float) -> str:
    """The time so many seconds later; the text itself if it is no time."""
    try:
        return (datetime.strptime(time, _FORMAT) + timedelta(seconds=seconds)).strftime(_FORMAT)
    except (ValueError, OverflowError):
        return time


def seconds_since(time: str) -> float | None:
    """Seconds from `time` to now by this machine's clock, not below 0; None if it is no such text."""
    try:
        then = datetime.strptime(time, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (datetime.now(UTC) - then).total_seconds())

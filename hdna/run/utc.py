"""Times in a run's files: UTC, to the second, by the clock of whoever writes them."""

from datetime import UTC, datetime

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> str:
    """The time, as in 2026-01-31T12:00:00Z."""
    return datetime.now(UTC).strftime(_FORMAT)


def seconds_since(time: str) -> float | None:
    """Seconds from `time` to now by this machine's clock, not below 0; None if it is no such text."""
    try:
        then = datetime.strptime(time, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (datetime.now(UTC) - then).total_seconds())

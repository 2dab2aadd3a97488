"""Where a run stands, as facts: times, command, code, machine, what it took, and what interrupted it."""

from collections.abc import Iterator, Sequence

from hdna.report.history import History
from hdna.report.ledger import cost
from hdna.report.numbers import duration
from hdna.run.status import DONE, FAILED, RUNNING
from hdna.run.utc import shifted

_ENDS = {DONE: "Ended", RUNNING: "Last heard of", FAILED: "Failed"}
_MOST_NAMED = 8


def facts(history: History) -> Iterator[tuple[str, str]]:
    """Names and values; of what an earlier version did not record, nothing."""
    live, steps = history.live, history.steps
    first = steps[0]
    if first.time is not None:
        yield "Begun", moment(shifted(first.time, -(first.seconds or 0.0)))
    if live and live.heartbeat:
        yield _ENDS.get(live.status, "Stopped"), moment(live.heartbeat)
    elif steps[-1].time is not None:
        yield "Last step", moment(steps[-1].time)
    if live and live.message:
        yield ("Why" if live.status == FAILED else "It says"), live.message
    if live and live.wall_seconds:
        yield "Time at work", duration(live.wall_seconds)
    if live and live.status == RUNNING and live.seconds_left:
        yield "Time left", f"{duration(live.seconds_left)} at the pace of its last steps"
    if history.resumed:
        yield "Resumed", _resumed(history)
    if live and live.restarts:
        yield "Restarts", f"{len(live.restarts):,}, after workers were lost"
    if live and live.command:
        yield "Command", live.command
    if code := _code(history):
        yield "Code", code
    if machine := _machine(history):
        yield "Machine", machine
    yield from _took(history)


def moment(time: str) -> str:
    """A time in a run's files as people write it: 2026-01-31 12:00:00 UTC."""
    return f"{time[:10]} {time[11:19]} UTC" if time.endswith("Z") and time[10:11] == "T" else time


def _resumed(history: History) -> str:
    after = [f"{step.step - 1:,}" for step in history.resumed]
    times = "once" if len(after) == 1 else f"{len(after):,} times"
    more = ", and later" if len(after) > _MOST_NAMED else ""
    return f"{times}, after step{'s' if len(after) > 1 else ''} {', '.join(after[:_MOST_NAMED])}{more}"


def _code(history: History) -> str:
    version = history.environment.get("hdna")
    commit = history.live.commit if history.live else ""
    return ", ".join(part for part in (version and f"hdna {version}", commit and f"commit {commit}") if part)


def _machine(history: History) -> str:
    workers = sorted({step.workers for step in history.steps if step.workers})
    host = history.live.driver.host if history.live and history.live.driver else ""
    parts = [history.environment.get("device", ""), counted(workers), f"driver on {host}" if host else ""]
    return "; ".join(part for part in parts if part)


def counted(workers: Sequence[int]) -> str:
    """As `1 worker` or `2 to 8 workers`; empty if none is known."""
    if not workers:
        return ""
    count = f"{workers[0]}" if len(workers) == 1 else f"{workers[0]} to {workers[-1]}"
    return f"{count} worker{'s' if workers[-1] > 1 else ''}"


def _took(history: History) -> Iterator[tuple[str, str]]:
    took = cost([step for step in history.steps if step.seconds is not None and step.workers], history.config)
    seconds = (history.live.worker_seconds if history.live else 0.0) or took.worker_seconds
    if seconds:
        on_cpu = history.environment.get("device", "CPU").startswith("CPU")
        yield ("Worker-hours" if on_cpu else "GPU-hours"), f"{seconds / 3600:,.2f}"
    if took.flops:
        yield "Model FLOPs", f"{took.flops:.2e}"

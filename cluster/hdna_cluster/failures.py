"""What ended the workers, in one line: a LostWorkerError if starting again may help, and if not, what to do."""

from hdna.errors import InputError, LeavingNodeError, LostWorkerError
from hdna.run.best_effort import in_one_line, shortened

_INSIDE = ("controller_failure", "health_check_failure", "cause")
"""Attributes of Ray's exceptions with what they are about."""


def first_cause(error: Exception, run_url: str, logs: str) -> InputError:
    """The InputError that a worker raised, or else what became of the first one: a LostWorkerError if it was lost.

    `error`: what Ray raised; `logs`: the folder of the workers' logs. When one worker fails, the others lose it: their
    errors come last.
    """
    failures = [(rank, _unwrapped(failure)) for rank, failure in getattr(error, "worker_failures", {}).items()]
    failures.sort(key=lambda item: (isinstance(item[1], LostWorkerError), item[0]))
    for _, failure in failures:
        if isinstance(failure, InputError) and not isinstance(failure, LostWorkerError):
            return failure
    who, failure = "Ray's own part of the run", _unwrapped(error)
    if failures:
        who, failure = f"worker {failures[0][0]}", failures[0][1]
    reason, end = _reason(failure), f"; logs: {logs}"
    if isinstance(failure, LeavingNodeError):
        return failure
    if isinstance(failure, LostWorkerError):
        return LostWorkerError(f"{run_url}: {who} lost another one: {reason}{end}")
    if _is_rays(failure):
        return LostWorkerError(f"{run_url}: {who} was lost: {reason}{end}")
    return InputError(f"{run_url}: {who} {_fate(failure, reason)}{end}")


def _fate(failure: BaseException, reason: str) -> str:
    """What happened, and what to change: the same would happen again."""
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":
        return (
            f"has too little memory: {reason}: halve curriculum.N.micro_batch_size, then set "
            f"parallel.activation_checkpointing=true"
        )
    return f"failed: {reason}: it would fail so again, and may be a bug: report it with the log"


def _unwrapped(error: BaseException) -> BaseException:
    """The exception that Ray's is about, or Ray's own if there is none."""
    inner = [getattr(error, name, None) for name in _INSIDE] if _is_rays(error) else []
    return next((_unwrapped(cause) for cause in inner if isinstance(cause, BaseException)), error)


def _is_rays(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "ray"


def _reason(error: BaseException) -> str:
    """Its type and message, or what Ray knows about a process that is gone, without the usual suspects."""
    text = in_one_line(error)
    text = text.partition("The actor is dead because ")[2] or text
    return shortened(text.partition(" Some common causes")[0].rstrip("."))

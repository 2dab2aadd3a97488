"""The requests that a proxy has seen, `METHOD /path` each: how many of which kind, and where a save begins."""

from dataclasses import asdict
from itertools import takewhile

from hdna_cluster.scale_bucket import Requests


def counted(requests: list[str]) -> Requests:
    """By kind, without those for shards."""
    kinds = [_kind(request) for request in requests if not request.endswith(".tar")]
    return Requests(**{kind: kinds.count(kind) for kind in asdict(Requests())})


def _kind(request: str) -> str:
    if "list-type=" in request:
        return "list"
    return {"HEAD": "get", "GET": "get", "PUT": "put", "POST": "delete"}[request.split()[0]]


def is_upload(request: str) -> bool:
    """Of metrics, with which each save begins; there are others every half minute."""
    return request.startswith("PUT") and ("/metrics.jsonl" in request or "/tensorboard/" in request)


def until_first_save(requests: list[str]) -> list[str]:
    """Without the look at the lease before its first upload."""
    found = list(takewhile(lambda request: not is_upload(request), requests))
    last = max(at for at, request in enumerate(found) if "list-type=" in request and "lease" in request)
    return found[:last] + found[last + 1 :]


def first_part(requests: list[str], step: int) -> int:
    """From this request to that of the next checkpoint is all of a save, its end before its beginning."""
    return next(at for at, request in enumerate(requests) if "PUT" in request and f"step-{step:06d}/part" in request)


def number_of(requests: list[str], kind: str, path: str) -> int:
    return sum(path in request and _kind(request) == kind for request in requests)

"""The evidence in a folder, each file read as its kind, apart from what is about other weights."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from hdna import storage
from hdna.downstream.benefits.bodies import Attention, Context, Embedding, FirstResult, Needle, Variants
from hdna.downstream.benefits.form import Found, OtherWeights, Source
from hdna.downstream.benefits.task_body import Task
from hdna.downstream.evidence import Evidence, find_evidence
from hdna.storage.untrusted_json import convert_json, parse_json

ATTENTION = "attention.json"
"""What the result of `hdna bench attention --out` must be called: it is no evidence about weights."""
FIRST_RESULT = "first_result"
"""The kind of evidence that is about the commands, whatever the weights."""
_KINDS = ("context", "task", "variants", "embed", "needle", FIRST_RESULT)
_ADVICE = "make it again with the command that wrote it, or remove it"
_THREADS = re.compile(r"\d+ thread\(s\) of ")
T = TypeVar("T")


@dataclass(frozen=True)
class Gathered:
    """What is known, by kind."""

    device: str
    """That others are marked against; empty: unknown."""
    context: list[Found[Context]]
    tasks: list[Found[Task]]
    variants: list[Found[Variants]]
    embedding: list[Found[Embedding]]
    needle: list[Found[Needle]]
    first_results: list[Found[FirstResult]]
    attention: list[Found[Attention]]
    other_weights: list[OtherWeights]

    @property
    def sources(self) -> list[Source]:
        """Every file that counts."""
        return [
            *(found.source for found in self.context),
            *(found.source for found in self.tasks),
            *(found.source for found in self.variants),
            *(found.source for found in self.embedding),
            *(found.source for found in self.needle),
            *(found.source for found in self.first_results),
            *(found.source for found in self.attention),
        ]


def gather(folder: str, checksum: str, run_device: str) -> Gathered:
    """Read all evidence in a folder or bucket and below.

    Args:
        folder: a path or URL; it need not exist.
        checksum: of the judged checkpoint's manifest; evidence about another is listed and not read.
        run_device: what the run was trained on; empty where that is not known: then the first evidence's counts.

    Raises InputError when a file is damaged.

    """
    everything = [evidence for evidence in find_evidence(folder) if evidence.kind in _KINDS]
    counted = [e for e in everything if e.subject.checksum == checksum or e.kind == FIRST_RESULT]
    others = [e for e in everything if e not in counted]
    device = run_device or next((evidence.cost.device for evidence in counted), "")

    def of(kind: str, body: type[T]) -> list[Found[T]]:
        return [_found(evidence, body, folder, device) for evidence in counted if evidence.kind == kind]

    return Gathered(
        device,
        of("context", Context),
        of("task", Task),
        of("variants", Variants),
        of("embed", Embedding),
        of("needle", Needle),
        of(FIRST_RESULT, FirstResult),
        list(_attention(folder, device)),
        [OtherWeights(_name(e.url, folder), e.kind, e.subject.checksum) for e in others],
    )


def is_other(device: str, than: str) -> bool:
    """Whether two devices differ, threads apart; one that is not known differs from none."""
    return bool(device and than) and _THREADS.sub("", device) != _THREADS.sub("", than)


def _found(evidence: Evidence, body: type[T], folder: str, device: str) -> Found[T]:
    cost = evidence.cost
    source = Source(
        _name(evidence.url, folder),
        evidence.kind,
        cost.date,
        cost.device,
        is_other(cost.device, device),
        cost.hdna,
        cost.dtype,
        cost.seconds,
        cost.bases,
        cost.peak_memory_bytes,
    )
    return Found(source, convert_json(evidence.body, body, evidence.url, _ADVICE))


def _attention(folder: str, device: str) -> Iterator[Found[Attention]]:
    for name in sorted(storage.list_objects(folder)):
        if name.rpartition("/")[2] == ATTENTION:
            url = storage.join(folder, name)
            body = parse_json(storage.read(url), Attention, url, _ADVICE)
            dtype = "bf16" if body.setting.bf16 else "fp32"
            other = is_other(body.device, device)
            yield Found(Source(name, "attention", body.date, body.device, other, "", dtype, None, 0, 0), body)


def _name(url: str, folder: str) -> str:
    return url.removeprefix(folder.rstrip("/") + "/")

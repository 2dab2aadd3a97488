"""Messages answered by stateful workers, by Ray Data: on this machine, or on the cluster of a submitted job."""

import importlib
import logging
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.errors import InputError
from hdna.storage.staging import InterruptedWorkError
from hdna_cluster.session import ray_session

Numbered = tuple[int, bytes]
Answer = Callable[[bytes], bytes]
_HEAD_BYTES = 8
_RETRIES = 5
"""Of a lost worker, and of its message. Ray's default is to go on for ever, even where memory is always too small."""


def map_on_ray(
    make: Callable[..., Answer], arguments: tuple[Any, ...], messages: Iterable[Numbered], workers: int | None = None
) -> Iterator[Numbered]:
    """The answers to numbered messages, in any order.

    `make(*arguments)` runs once in each worker and returns what answers there. `workers`: how many; by default one per
    GPU, or per processor where there is no GPU, and never more than messages. The messages lie in Ray's object store,
    which writes to disk what does not fit; answers are taken as they come.

    Raises the InputError of a worker, or InterruptedWorkError when workers were lost again and again.
    """
    with ray_session() as ray:
        data = importlib.import_module("ray.data")
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what ends the work is raised here
        context = data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        blocks = [ray.put(_block(number, message)) for number, message in messages]
        if not blocks:
            return
        gpus = int(ray.cluster_resources().get("GPU", 0))
        most = workers or gpus or int(ray.cluster_resources().get("CPU", 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`ray_remote_args`")  # the only way to limit retries in Ray 2.60
            answers = data.from_numpy_refs(blocks).map_batches(
                _Worker,
                fn_constructor_args=(make, arguments),
                batch_size=1,
                compute=data.ActorPoolStrategy(size=min(most, len(blocks))),
                num_gpus=1 if gpus else 0,
                num_cpus=1,
                max_restarts=_RETRIES,
                max_task_retries=_RETRIES,
            )
        try:
            for row in answers.iter_rows():
                _raise_errors(row)
                yield row["number"], row["answer"]
        except ray.exceptions.RayError as error:
            text = str(error).strip().splitlines()[0]
            raise InterruptedWorkError(f"a Ray worker was lost ({text}): run the command again") from None


class _Worker:
    """Answers one message at a time. What it raises is an answer too: Ray would wrap it in many pages of its own."""

    def __init__(self, make: Callable[..., Answer], arguments: tuple[Any, ...]) -> None:
        self._make = make
        self._arguments = arguments
        self._answer: Answer | None = None

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
        (row,) = batch["data"]
        number, message = int.from_bytes(row[:_HEAD_BYTES].tobytes(), "little"), row[_HEAD_BYTES:].tobytes()
        answer, refusal, fault = b"", "", ""
        try:
            self._answer = self._answer or self._make(*self._arguments)
            answer = self._answer(message)
        except InputError as error:
            refusal = str(error)
        except Exception:
            fault = traceback.format_exc()
        return {"number": [number], "answer": [answer], "refusal": [refusal], "fault": [fault]}


def _block(number: int, message: bytes) -> npt.NDArray[np.uint8]:
    """One row for Ray Data."""
    return np.frombuffer(number.to_bytes(_HEAD_BYTES, "little") + message, np.uint8)[None]


def _raise_errors(row: dict[str, Any]) -> None:
    """Raise what a worker raised."""
    if row["refusal"]:
        raise InputError(row["refusal"])
    if row["fault"]:
        raise RuntimeError(f"in a Ray worker: {row['fault']}")

"""A checkpoint with what is wanted of it: tokens in, embeddings out.

Shapes: M rows of embeddings, one for each sequence or, without pooling, for each base; D = d_model.

A sequence is always padded to the same length, whatever is beside it: the longest whose convolution needs no larger FFT
than the sequence itself, at most l_max. So the transforms, where most rounding happens, do not depend on the batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hdna.config.slices import MIN_SLICE
from hdna.downstream.embed.messages import unpack
from hdna.downstream.embed.states import Pool, embed_slice
from hdna.downstream.subject import Subject, load_subject
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.ops.smooth_size import smooth_size
from hdna.parallel import Mesh, shard_sequence

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.floating[Any]]

BATCH_TOKENS = {"cpu": 2**15, "cuda": 2**19}
"""Of a batch, padding included; a longer sequence is a batch of its own."""


@dataclass(frozen=True)
class Wanted:
    """What of a sequence is kept."""

    layer: int | None
    """Of which block, from 1, the residual stream; 0: the embedding; None: the final norm's output."""
    pool: Pool
    dtype: Literal["float16", "float32"]
    """Of the result; the model runs in fp32."""

    def rows(self, lengths_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(N,) rows of embeddings that sequences of these lengths have."""
        return np.ones_like(lengths_N) if self.pool == "mean" else lengths_N


class Embedder:
    """Stateful: the model is loaded once. With a mesh of several ranks, which share each sequence, all of them call."""

    def __init__(self, subject: Subject, wanted: Wanted, mesh: Mesh | None = None) -> None:
        self._subject = subject
        self._wanted = wanted
        self._mesh = mesh or Mesh(0, 1)
        shard_sequence(subject.model, self._mesh)

    @classmethod
    def load(cls, url: str, wanted: Wanted) -> "Embedder":
        """With the checkpoint at `url`, on this process's GPU if there is one."""
        return cls(load_subject(url), wanted)

    def __call__(self, message: bytes) -> bytes:
        """`embed` of packed tokens, as the bytes of its rows."""
        return self.embed(unpack(message)).tobytes()

    def embed(self, tokens: Sequence[Bytes]) -> Values:
        """(M, D) of sequences, in their order. Raises InputError when a number does not fit the dtype."""
        lengths_N = np.array([len(own) for own in tokens], np.int64)
        begins_N = np.concatenate([[0], np.cumsum(self._wanted.rows(lengths_N))])
        values_MD = np.empty((begins_N[-1], self._subject.config.model.d_model), self._wanted.dtype)
        padded_N = [self._padded(length) for length in lengths_N.tolist()]
        for numbers in batches(padded_N, BATCH_TOKENS[self._subject.device.type]):
            padded = padded_N[numbers[0]]
            for number, own in zip(numbers, self._embed_batch([tokens[n] for n in numbers], padded), strict=True):
                values_MD[begins_N[number] : begins_N[number + 1]] = own
        if not np.isfinite(values_MD).all():
            raise InputError(
                f"embeddings in {self._wanted.dtype} are not all finite: use --dtype float32, or other weights"
            )
        return values_MD

    def _joined(self, states_BSD: Tensor) -> Tensor:
        """The states of all ranks' slices, (B, L, D)."""
        rows = self._mesh.gather(states_BSD.flatten()).view(-1, *states_BSD.shape)
        return torch.cat(rows.unbind(), dim=1)

    def _padded(self, length: int) -> int:
        return padded_length(length, self._subject.config.model.l_max, self._mesh.sequence_parallel_size)

    def _embed_batch(self, tokens: Sequence[Bytes], padded: int) -> Iterator[Values]:
        """The rows of each sequence."""
        lengths = [len(own) for own in tokens]
        tokens_BL = np.full((len(tokens), padded), alphabet.PAD, np.uint8)
        for row, own in zip(tokens_BL, tokens, strict=True):
            row[: len(own)] = own
        device, wanted = self._subject.device, self._wanted
        found = embed_slice(
            self._subject.model,
            self._mesh,
            torch.from_numpy(tokens_BL).to(device),
            torch.tensor(lengths, device=device),
            wanted.layer,
            wanted.pool,
        )
        if wanted.pool == "none":
            found = self._joined(found)
        values = found.to(getattr(torch, wanted.dtype)).cpu().numpy()
        for row, length in zip(values, lengths, strict=True):
            yield row[None] if wanted.pool == "mean" else row[:length]


def padded_length(length: int, l_max: int, ranks: int = 1) -> int:
    """The longest sequence that needs no larger FFT, up to a quarter longer; at most l_max, a multiple of `ranks`.

    Raises InputError when the ranks cannot share it.
    """
    longest = l_max // ranks * ranks
    padded = max((smooth_size(2 * length - 1) + 1) // 2, MIN_SLICE * ranks if ranks > 1 else 1)
    padded = min(-(-padded // ranks) * ranks, longest)
    if padded < length:
        raise InputError(
            f"{ranks} ranks cannot share a sequence of {length:,} bases: at most {longest:,}, the largest multiple of "
            f"{ranks} within the model's l_max of {l_max:,}: use another --sequence-parallel"
        )
    return padded


def batches(padded_N: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """The numbers of sequences in batches of one padded length, of at most so many tokens or a single sequence."""
    order = sorted(range(len(padded_N)), key=lambda number: padded_N[number])
    batch: list[int] = []
    for number in order:
        if batch and (padded_N[number] != padded_N[batch[0]] or (len(batch) + 1) * padded_N[number] > tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch

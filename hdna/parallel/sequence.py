"""From a single-process model to one whose samples are shared by the ranks of a sequence group."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from hdna.model import HyenaDNA
from hdna.model.hyena import HyenaOperator, whole_context
from hdna.model.micro_batch import MicroBatch
from hdna.model.recompute import run_once
from hdna.ops import causal_fft_conv
from hdna.parallel.all_to_all import AllToAllConv
from hdna.parallel.distributed_fft import DistributedFFTConv
from hdna.parallel.exchange import LeftHalo
from hdna.parallel.mesh import Mesh

LongConv = Callable[[Tensor, Tensor, Tensor], Tensor]


def shard_sequence(model: HyenaDNA, mesh: Mesh, long_conv: str = "all_to_all") -> None:
    """Make `model` work on this rank's slices of samples: (B, S) token ids in, the slice's logits out.

    Everything but the two convolutions is per position, so only they change: the short one gets the left neighbour's
    last positions, the long one is distributed by `long_conv`, "all_to_all" or "distributed_fft", and each rank
    generates the filters of its own positions. Parameter gradients are partial: their sum over all ranks, which
    data-parallel training computes anyway, is the full gradient.

    May be called again with another mesh, at any step: no parameter or optimizer state is touched. A mesh with
    `sequence_parallel_size` 1 restores the plain model. An idle rank runs it as well, with a halo of its own: it talks
    to no neighbour.
    """
    for block in model.backbone.blocks:
        operator = block.hyena
        assert isinstance(operator, HyenaOperator)
        convolutions = operator.order - 1
        if mesh.sequence_group is None:
            operator.left_halo = _own_end if mesh.is_idle else None
            operator.filter_span = whole_context
            operator.long_convs = [causal_fft_conv] * convolutions
            continue
        operator.left_halo = partial(run_once, partial(_from_the_left, mesh))
        operator.filter_span = partial(_span_of_slice, mesh)
        operator.long_convs = [_long_conv(long_conv, model, mesh) for _ in range(convolutions)]


def slice_batch(batch: MicroBatch, mesh: Mesh) -> MicroBatch:
    """The positions on this rank of a micro-batch of whole samples, whose targets are already shifted.

    Raises InputError naming the nearest valid lengths when the ranks cannot split the samples equally.
    """
    return batch.positions(mesh.slice_of(batch.tokens.shape[1] - 1))


def _long_conv(kind: str, model: HyenaDNA, mesh: Mesh) -> LongConv:
    if kind == "distributed_fft":
        return DistributedFFTConv(mesh)
    return AllToAllConv(mesh, lambda: model.backbone.micro_step)


def _own_end(end_BCH: Tensor) -> Tensor:
    """The halo of an idle rank, whose results do not count.

    With it autograd has the same graph as on ranks that share samples, and gradients are ready in the same order: ZeRO
    2 reduces them in that order, and an idle rank that owns parameters took one's gradient for another's.
    """
    return end_BCH


def _from_the_left(mesh: Mesh, end_BCH: Tensor) -> Tensor:
    halo_BCH: Tensor = LeftHalo.apply(end_BCH, mesh)  # type: ignore[no-untyped-call]
    return halo_BCH


def _span_of_slice(mesh: Mesh, length: int) -> tuple[int, int]:
    return mesh.sequence_rank * length, (mesh.sequence_rank + 1) * length

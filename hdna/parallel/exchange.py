"""Exchanges between sequence ranks: positions for channels, columns for rows, and a neighbour's halo.

Shapes: R rows (such as samples), D channels, E channels of this rank, L positions, P ranks, S = L / P positions of a
slice, W columns of this rank.

All use `all_to_all_single` with uneven splits, the one suitable collective that gloo and NCCL both have. Starting a
transfer returns a function that finishes it, so that the next one runs while this one is processed. Tensors of several
dtypes travel in one message of the narrowest dtype; wider elements are viewed as several of it, bit for bit. Thus an
fp32 filter rides along with bf16 activations.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.parallel.mesh import Mesh

ChannelSplit = list[slice]
"""The channels of each rank in a sequence group."""


def channel_splits(channels: int, ranks: int, groups: int) -> list[ChannelSplit]:
    """Split channels over ranks as evenly as whole channels allow, and each rank's likewise into `groups` transfers.

    Every channel is assigned, even if `ranks` does not divide `channels`: some ranks get one more, or, with more ranks
    than channels, none.
    """

    def cut(start: int, stop: int, parts: int, part: int) -> slice:
        return slice(start + (stop - start) * part // parts, start + (stop - start) * (part + 1) // parts)

    mine = [cut(0, channels, ranks, rank) for rank in range(ranks)]
    return [[cut(s.start, s.stop, groups, group) for s in mine] for group in range(groups)]


def to_channels(parts: Sequence[Tensor], split: ChannelSplit, mesh: Mesh) -> Callable[[], list[Tensor]]:
    """Start sending each rank its channels of every part (R, D, S); finishing returns the parts as (R, E, L)."""
    wire, ranks = _wire(parts), mesh.sequence_parallel_size
    blocks = [[part[:, channels] for part in parts] for channels in split]
    width = split[mesh.sequence_rank].stop - split[mesh.sequence_rank].start
    sizes = [_size(part[:, :1], wire) * width for part in parts]
    finish = _all_to_all(blocks, wire, [sum(sizes)] * ranks, mesh)

    def arrived() -> list[Tensor]:
        message = finish().view(ranks, sum(sizes))
        wholes = []
        for part, flat_PN in zip(parts, message.split(sizes, dim=1), strict=True):
            rows, _, length = part.shape
            whole_REPS = part.new_empty(rows, width, ranks, length)
            bits_REPN = whole_REPS.view(wire)
            bits_REPN.copy_(flat_PN.reshape(ranks, rows, width, bits_REPN.shape[-1]).permute(1, 2, 0, 3))
            wholes.append(whole_REPS.flatten(2))
        return wholes

    return arrived


def to_positions(
    parts: Sequence[Tensor], into: Sequence[Tensor], split: ChannelSplit, mesh: Mesh
) -> Callable[[], None]:
    """Start sending each rank its positions of every part (R, E, L); finishing writes them into (R, D, S)."""
    wire, ranks = _wire(parts), mesh.sequence_parallel_size
    slices = [part.unflatten(2, (ranks, -1)) for part in parts]
    blocks = [[part_REPS[:, :, rank] for part_REPS in slices] for rank in range(ranks)]
    sizes = [[_size(whole[:, channels], wire) for whole in into] for channels in split]
    finish = _all_to_all(blocks, wire, [sum(row) for row in sizes], mesh)

    def arrived() -> None:
        flat = finish().split([size for row in sizes for size in row])
        targets = [whole[:, channels] for channels in split for whole in into]
        for target, values in zip(targets, flat, strict=True):
            bits_REN = target.view(wire)
            bits_REN.copy_(values.view(bits_REN.shape))

    return arrived


def row_to_columns(parts: Sequence[Tensor], mesh: Mesh) -> list[Tensor]:
    """Distribute the columns of the P × S matrices whose rows are slices (R, D, S): each rank gets (P, R, D, W)."""
    wire, columns = _wire(parts), columns_of(parts[0].shape[-1], mesh)
    width = columns[mesh.sequence_rank].stop - columns[mesh.sequence_rank].start
    sizes = [_size(part[..., :1], wire) * width for part in parts]
    blocks = [[part[..., span] for part in parts] for span in columns]
    message = _all_to_all(blocks, wire, [sum(sizes)] * len(columns), mesh)().view(len(columns), sum(sizes))
    return [
        flat_PN.reshape(-1).view(part.dtype).view(len(columns), *part.shape[:2], width)
        for part, flat_PN in zip(parts, message.split(sizes, dim=1), strict=True)
    ]


def columns_to_row(parts: Sequence[Tensor], length: int, mesh: Mesh) -> list[Tensor]:
    """Give each rank its row back: (P, R, D, W) to slices (R, D, S) of S = `length` positions."""
    wire, columns = _wire(parts), columns_of(length, mesh)
    per_column = [part.shape[1] * part.shape[2] * (part.element_size() // wire.itemsize) for part in parts]
    sizes = [[size * (span.stop - span.start) for size in per_column] for span in columns]
    blocks = [[part[rank] for part in parts] for rank in range(len(columns))]
    flat = iter(_all_to_all(blocks, wire, [sum(row) for row in sizes], mesh)().split([n for row in sizes for n in row]))
    rows = [part.new_empty(*part.shape[1:3], length) for part in parts]
    for span in columns:
        for row in rows:
            row[..., span] = next(flat).clone().view(row.dtype).view(row[..., span].shape)
    return rows


class LeftHalo(torch.autograd.Function):
    """The last positions of the left neighbour's slice; zeros on the first rank, where the sequence starts."""

    @staticmethod
    def forward(ctx: Any, end_RDH: Tensor, mesh: Mesh) -> Tensor:  # noqa: ANN401
        """`end_RDH`: the last H positions of this rank's slice, for the right neighbour."""
        ctx.mesh = mesh
        return _to_neighbour(end_RDH, 1, mesh)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_RDH: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Return the halo's gradient to the neighbour that owns its positions."""
        return _to_neighbour(gradient_RDH, -1, ctx.mesh), None


def summed_over_slices(x: Tensor, mesh: Mesh) -> Tensor:
    """The element-wise sum over the ranks of a sequence group; x itself if no ranks share a sample.

    What every rank goes on to compute from it counts as many times: divide the loss by `sequence_parallel_size`, and
    the sum over all ranks of each parameter's gradient is exact, as for the rest of a sliced model.
    """
    summed: Tensor = _SummedOverSlices.apply(x, mesh) if mesh.sequence_group else x  # type: ignore[no-untyped-call]
    return summed


class _SummedOverSlices(torch.autograd.Function):
    """The sum is its own transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mesh: Mesh) -> Tensor:  # noqa: ANN401
        ctx.mesh = mesh
        return _summed(x, mesh)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _summed(gradient, ctx.mesh), None


def _summed(x: Tensor, mesh: Mesh) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=mesh.sequence_group)
    return total


def _to_neighbour(x: Tensor, step: int, mesh: Mesh) -> Tensor:
    """Send x to the sequence rank `step` away; return what the opposite neighbour sends, or zeros without one."""
    nothing, ranks = x.new_empty(0), range(mesh.sequence_parallel_size)
    to, source = mesh.sequence_rank + step, mesh.sequence_rank - step
    received = _all_to_all(
        [[x if rank == to else nothing] for rank in ranks],
        x.dtype,
        [x.numel() if rank == source else 0 for rank in ranks],
        mesh,
    )()
    return received.view(x.shape) if source in ranks else torch.zeros_like(x, memory_format=torch.contiguous_format)


def _all_to_all(
    blocks: Sequence[Sequence[Tensor]], wire: torch.dtype, received: list[int], mesh: Mesh
) -> Callable[[], Tensor]:
    """Start sending blocks[q] to rank q of the sequence group; finishing returns what arrived, in rank order.

    `received`: the number of elements from each rank.
    """
    sent = [sum(_size(tensor, wire) for tensor in block) for block in blocks]
    message = torch.empty(sum(sent), dtype=wire, device=blocks[0][0].device)
    first = 0
    for tensor in (tensor for block in blocks for tensor in block):
        bits = (tensor if tensor.stride(-1) == 1 else tensor.contiguous()).view(wire)
        message[first : first + bits.numel()].view(bits.shape).copy_(bits)
        first += bits.numel()
    arrived = message.new_empty(sum(received))
    work = dist.all_to_all_single(arrived, message, received, sent, group=mesh.sequence_group, async_op=True)

    def finish() -> Tensor:
        work.wait()
        return arrived

    return finish


def columns_of(length: int, mesh: Mesh) -> list[slice]:
    """The columns of each rank, as evenly as whole columns allow."""
    ranks = mesh.sequence_parallel_size
    return [slice(length * rank // ranks, length * (rank + 1) // ranks) for rank in range(ranks)]


def _wire(parts: Sequence[Tensor]) -> torch.dtype:
    """The dtype of a message: the narrowest real dtype of its parts."""
    return min((part.dtype.to_real() for part in parts), key=lambda dtype: dtype.itemsize)


def _size(part: Tensor, wire: torch.dtype) -> int:
    """Elements of a message that a tensor takes."""
    return part.numel() * (part.element_size() // wire.itemsize)

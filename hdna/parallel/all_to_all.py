"""The long convolution over a sliced sequence, by exchanging positions for channels.

Shapes: B batch, D channels, L positions of the whole context, P sequence ranks, S = L / P positions of a slice,
E channels of one rank in one group.

Each rank holds S positions of all channels. One exchange gives it all positions of some channels; it convolves those in
full, and a second exchange returns the result as slices. The backward pass does the same with the gradients: four
transfers of B · D · S · (P - 1) / P elements per layer and micro step, two forward and two backward. Filters are
generated in slices too. They ride along with the first transfer of an optimizer step, and their gradient with the last;
each rank keeps its channels' filters over the micro steps between.

Channels are processed in groups: while one group is convolved, the next arrives and the previous one leaves.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.model.filter_cache import MicroStep
from hdna.model.recompute import run_once
from hdna.ops.fft_conv import convolve, correlate
from hdna.parallel.exchange import ChannelSplit, channel_splits, to_channels, to_positions
from hdna.parallel.mesh import Mesh

MAX_GROUPS = 8
"""Channel groups per long convolution: all but 1 / 8 of the transfer can hide behind FFTs."""
MIN_MESSAGE_BYTES = 4 * 2**20
"""Minimum bytes of a rank's message per group: below it, latency would cost more than overlap gains."""


Finish = Callable[[], None]


def group_count(message_bytes: int, channels_per_rank: int) -> int:
    """Number of channel groups for a slice (B, D, S) of `message_bytes`; the same on every rank."""
    return max(1, min(MAX_GROUPS, message_bytes // MIN_MESSAGE_BYTES, channels_per_rank))


class AllToAllConv:
    """One long convolution of one layer, in place of `causal_fft_conv`."""

    def __init__(self, mesh: Mesh, micro_step: Callable[[], MicroStep]) -> None:
        self.mesh = mesh
        self.micro_step = micro_step
        self.k_EL: list[Tensor] = []
        """This rank's filters by group, over the micro steps of an optimizer step."""
        self.dk_EL: list[Tensor] = []
        """Their gradients, accumulated over the micro steps."""

    def __call__(self, u_BDS: Tensor, k_DS: Tensor, bias_D: Tensor) -> Tensor:
        """Return this rank's slice of the full convolution: y (B, D, S)."""
        with torch.autocast(u_BDS.device.type, enabled=False):
            y_BDS: Tensor = run_once(_Exchanged.apply, u_BDS, k_DS, bias_D, self)
        return y_BDS


class _Exchanged(torch.autograd.Function):
    """Both passes of an AllToAllConv."""

    @staticmethod
    def forward(ctx: Any, u_BDS: Tensor, k_DS: Tensor, bias_D: Tensor, conv: AllToAllConv) -> Tensor:  # noqa: ANN401
        mesh, micro_step = conv.mesh, conv.micro_step()
        ctx.conv, ctx.micro_step, ctx.taps = conv, micro_step, (k_DS.shape, k_DS.dtype)
        channels = u_BDS.shape[1]
        ranks = mesh.sequence_parallel_size
        ctx.groups = groups = channel_splits(channels, ranks, group_count(u_BDS.nbytes, channels // ranks))
        riders = [k_DS[None]] if micro_step.first else []
        if micro_step.first:
            conv.k_EL, conv.dk_EL = [], []
        y_BDS = torch.empty(u_BDS.shape, dtype=u_BDS.dtype, device=u_BDS.device)
        saved = []

        def convolved(number: int, split: ChannelSplit, arrived: list[Tensor]) -> Finish:
            u_BEL, *k_1EL = arrived
            conv.k_EL += [k_EL for (k_EL,) in k_1EL]
            saved.append(u_BEL)
            y_BEL = convolve(u_BEL, conv.k_EL[number], bias_D[split[mesh.sequence_rank]])
            return to_positions([y_BEL], [y_BDS], split, mesh)

        _pipelined(groups, lambda split: to_channels([u_BDS, *riders], split, mesh), convolved)
        ctx.save_for_backward(bias_D, *saved, *conv.k_EL)
        if micro_step.last:
            conv.k_EL = []
        return y_BDS

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BDS: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        conv, mesh, last = ctx.conv, ctx.conv.mesh, ctx.micro_step.last
        bias_D, *saved = ctx.saved_tensors
        du_BDS = torch.empty(dy_BDS.shape, dtype=dy_BDS.dtype, device=dy_BDS.device)
        shape, dtype = ctx.taps
        dk_1DS = torch.empty((1, *shape) if last else 0, dtype=dtype, device=dy_BDS.device)
        dbias_D = torch.zeros_like(bias_D)

        def correlated(number: int, split: ChannelSplit, arrived: list[Tensor]) -> Finish:
            mine = split[mesh.sequence_rank]
            u_BEL, k_EL = saved[number], saved[len(ctx.groups) + number]
            du_BEL, dk_EL, dbias_E = correlate(u_BEL, k_EL, bias_D[mine], arrived[0])
            assert du_BEL is not None and dk_EL is not None and dbias_E is not None
            dbias_D[mine] = dbias_E
            if not ctx.micro_step.first:
                dk_EL += conv.dk_EL[number]
            if last:
                return to_positions([du_BEL, dk_EL[None]], [du_BDS, dk_1DS], split, mesh)
            conv.dk_EL[number : number + 1] = [dk_EL]
            return to_positions([du_BEL], [du_BDS], split, mesh)

        _pipelined(ctx.groups, lambda split: to_channels([dy_BDS], split, mesh), correlated)
        if last:
            conv.dk_EL = []
        return du_BDS, dk_1DS[0] if last else None, dbias_D, None


def _pipelined(
    groups: list[ChannelSplit],
    arrive: Callable[[ChannelSplit], Callable[[], list[Tensor]]],
    work: Callable[[int, ChannelSplit, list[Tensor]], Finish],
) -> None:
    """Work on each group while the next one arrives and the previous one leaves."""
    arriving = arrive(groups[0])
    leaving: Finish | None = None
    for number, split in enumerate(groups):
        arrived = arriving()
        if number + 1 < len(groups):
            arriving = arrive(groups[number + 1])
        following = work(number, split, arrived)
        if leaving:
            leaving()
        leaving = following
    if leaving:
        leaving()

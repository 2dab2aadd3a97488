"""A function of sequences that runs on a tile of positions at a time, and once more in the backward pass.

Shapes: B batch, L context (or slice) length, D channels of the input, E of the result, T positions of a tile.

What lies between a function's inputs and its result is neither written to memory nor kept for the backward pass: it
lives for one tile. Recomputing costs the function's own matrix products again, keeping three to ten times the memory;
of a batch that is a single tile, that is little, and on a CPU it is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.ops.one_node import as_one_node, autocast_of

CPU_TILE, CUDA_TILE = 2**13, 2**16
"""Positions of a tile, over all its samples. CPU: at D = 128, the four-fold hidden layer of an MLP takes 16 MiB, half
of a last-level cache; a quarter of that is as fast on a quiet machine, and slower on a busy one, where every operation
waits for all threads. It bounds what is kept of a single tile, too. CUDA: enough rows to fill any device; at D = 256 in
bf16 that layer takes 128 MiB."""


@dataclass(frozen=True)
class Tile:
    """Some samples, and some of their positions: whole samples, or part of one."""

    samples: slice
    start: int
    stop: int

    def of(self, tensor: Tensor, dim: int, lead: int = 0) -> Tensor:
        """Part of a tensor whose positions lie along `dim`, from up to `lead` positions before the tile on."""
        first = max(0, self.start - lead)
        return tensor[self.samples].narrow(dim, first, self.stop - first)


def tiles(batch: int, length: int, size: int) -> Iterator[Tile]:
    """Tiles of at most `size` positions, those of a sample in order; a single empty one of nothing."""
    samples = max(1, size // max(1, length))
    for first in range(0, max(1, batch), samples):
        for start in range(0, max(1, length), size):
            yield Tile(slice(first, first + samples), start, min(length, start + size))


@dataclass(frozen=True)
class Piece:
    """What a function gets of its inputs for a tile."""

    x: Tensor
    """(B, lead + T, D)."""
    beside: Tensor | None
    """(B, E, T)."""
    halo: Tensor | None
    """What lies before the sequence, for a tile at its start."""
    lead: int
    """Positions of x before the tile's; 0 at the start of the sequence."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """x, beside and halo."""
        return self.x, self.beside, self.halo

    def leaves(self, wanted: Sequence[bool]) -> "Piece":
        """The same values, of which the wanted ones ask for their gradients."""
        x, beside, halo = (
            tensor if tensor is None else tensor.detach().requires_grad_(needs)
            for tensor, needs in zip(self.tensors, wanted, strict=True)
        )
        assert x is not None
        return Piece(x, beside, halo, self.lead)


@dataclass(frozen=True)
class Tiling:
    """A function with the way it is cut into tiles.

    `function(piece, *weights)` returns (B, T, E) or, with `channels_first`, (B, E, T), from x and from `lead` positions
    before it. With `into_residual` the result is x plus a projection of that, (B, T, D), and the last two weights are
    the projection's: it is the one product that the backward pass need not compute again. With `keeps` false nothing is
    kept of a single tile either: for what is part of something that runs again as a whole.
    """

    function: Callable[..., Tensor]
    channels_first: bool = False
    lead: int = 0
    into_residual: bool = False
    keeps: bool = True

    def __call__(
        self,
        x_BLD: Tensor,
        *weights: Tensor,
        beside: Tensor | None = None,
        halo: Tensor | None = None,
        result_is_needed: bool = True,
    ) -> Tensor:
        """The function of whole sequences; `weights` are the parameters it gets.

        With `result_is_needed` false, only what the backward pass needs is noted, and the result like x is undefined.
        Under torch.compile there are no tiles: the compiler decides what to fuse, keep and compute again.
        """
        if torch.compiler.is_compiling():
            return self.whole(x_BLD, beside, halo, *weights)
        if self.keeps and _is_little(x_BLD):
            return as_one_node(self.whole, x_BLD, beside, halo, *weights)
        run = _Tiled if result_is_needed else _Noted
        result: Tensor = run.apply(self, x_BLD, beside, halo, *weights)  # type: ignore[no-untyped-call]
        return result

    @property
    def out_dim(self) -> int:
        """The dimension of positions in the result."""
        return 2 if self.channels_first else 1

    def whole(self, x: Tensor, beside: Tensor | None, halo: Tensor | None, *weights: Tensor) -> Tensor:
        """The result of whole sequences, without tiles."""
        part = self.forward(Piece(x, beside, halo, 0), weights)
        return x + part if self.into_residual else part

    def piece(self, tile: Tile, x: Tensor, beside: Tensor | None, halo: Tensor | None) -> Piece:
        """What the function gets for a tile."""
        return Piece(
            tile.of(x, 1, self.lead),
            None if beside is None else tile.of(beside, 2),
            None if halo is None or tile.start else halo[tile.samples],
            min(self.lead, tile.start),
        )

    def forward(self, piece: Piece, weights: Sequence[Tensor]) -> Tensor:
        """The result for a tile, into a residual stream what is added to x."""
        if not self.into_residual:
            return self.function(piece, *weights)
        *inner, weight, bias = weights
        part = self.function(piece, *inner)
        # In two dimensions: with three, `linear` copies an input whose channels lie outermost in memory.
        projected = F.linear(part.reshape(-1, part.shape[-1]), weight, bias)
        return projected.view(*part.shape[:2], len(weight))

    def backward(self, piece: Piece, weights: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
        """The gradients of those of the piece's tensors and of the weights that require one, in this order.

        Into a residual stream, that of x lacks the share of x itself, which is `gradient`.
        """
        if not self.into_residual:
            part = self.function(piece, *weights)
            return _gradients(part, (*piece.tensors, *weights), gradient.to(part.dtype))
        *inner, weight, bias = weights
        part = self.function(piece, *inner)
        with torch.no_grad():
            dpart, dweight, dbias = _projected_back(part, weight, gradient)
            own = [share for share, of in ((dweight, weight), (dbias, bias)) if of.requires_grad]
            return _gradients(part, (*piece.tensors, *inner), dpart) + own

    def empty(self, part: Tensor, x: Tensor) -> Tensor:
        """Room for the result of x, of which `part` is a tile's; channels outermost in memory if they come first."""
        if self.into_residual:
            return torch.empty_like(x)
        if self.channels_first:
            return part.new_empty(part.shape[1], *x.shape[:2]).transpose(0, 1)
        return part.new_empty(*x.shape[:2], part.shape[2])

    def write(self, whole: Tensor, tile: Tile, piece: Piece, part: Tensor) -> None:
        """A tile's result to its place."""
        place = tile.of(whole, self.out_dim)
        if self.into_residual:
            torch.add(piece.x[:, piece.lead :], part, out=place)
        else:
            place.copy_(part)


class _Tiled(torch.autograd.Function):
    """Both passes of a Tiling."""

    @staticmethod
    def forward(ctx: Any, tiling: Tiling, *tensors: Tensor) -> Tensor:  # noqa: ANN401
        x, beside, halo, *weights = tensors
        _note(ctx, tiling, tensors)
        result: Tensor | None = None
        for tile in _tiles_of(x):
            piece = tiling.piece(tile, x, beside, halo)
            part = tiling.forward(piece, weights)
            if not tiling.into_residual and part.shape[0] == len(x) and part.shape[tiling.out_dim] == x.shape[1]:
                return part  # the only tile
            if result is None:
                result = tiling.empty(part, x)
            tiling.write(result, tile, piece, part)
        assert result is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, beside, halo, *weights = ctx.saved_tensors
        tiling, needed = ctx.tiling, ctx.needs_input_grad[1:]
        leaves = [weight.detach().requires_grad_(wanted) for weight, wanted in zip(weights, needed[3:], strict=True)]
        found = [
            torch.empty_like(tensor) if tensor is not None and wanted else None
            for tensor, wanted in zip((x, beside, halo), needed[:3], strict=True)
        ]
        sums: list[Tensor | None] = [None] * len(leaves)
        # One region of autocast for all tiles: it rounds the weights once.
        with torch.autocast(x.device.type, **ctx.precision):
            for tile in _tiles_of(x):
                piece, part = tiling.piece(tile, x, beside, halo).leaves(needed[:3]), tile.of(gradient, tiling.out_dim)
                with torch.enable_grad():
                    shares = iter(tiling.backward(piece, leaves, part))
                if found[0] is not None:
                    _write_x(tile, piece.lead, found[0], next(shares), part if tiling.into_residual else None)
                if found[1] is not None:
                    tile.of(found[1], 2).copy_(next(shares))
                if found[2] is not None and piece.halo is not None:
                    found[2][tile.samples].copy_(next(shares))
                for number, leaf in enumerate(leaves):
                    if leaf.requires_grad:
                        sums[number] = _sum(sums[number], next(shares))
        return None, *found, *sums


class _Noted(_Tiled):
    """The backward pass alone."""

    @staticmethod
    def forward(ctx: Any, tiling: Tiling, *tensors: Tensor) -> Tensor:  # noqa: ANN401
        _note(ctx, tiling, tensors)
        return torch.empty_like(tensors[0])


def _note(ctx: Any, tiling: Tiling, tensors: Sequence[Tensor]) -> None:  # noqa: ANN401
    """What the backward pass needs: x, beside, halo and the weights, and the precision in force."""
    ctx.save_for_backward(*tensors)
    ctx.tiling, ctx.precision = tiling, autocast_of(tensors[0])


def _gradients(result: Tensor, inputs: Sequence[Tensor | None], gradient: Tensor) -> list[Tensor]:
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    return list(torch.autograd.grad(result, wanted, gradient))


def _projected_back(part_BTE: Tensor, weight_DE: Tensor, gradient_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a projection's input, weight and bias; the first lies in memory as the input does."""
    width, wide = gradient_BTD.shape[-1], part_BTE.dtype
    gradient_ND, weight = gradient_BTD.reshape(-1, width).to(wide), weight_DE.to(wide)
    part_NE = part_BTE.reshape(-1, part_BTE.shape[-1])
    dpart_NE = (weight.T @ gradient_ND.T).T if part_BTE.stride(-1) > 1 else gradient_ND @ weight
    dweight_DE = (gradient_ND.T @ part_NE).to(weight_DE.dtype)
    return dpart_NE.view(part_BTE.shape), dweight_DE, gradient_BTD.sum((0, 1)).to(weight_DE.dtype)


def _write_x(tile: Tile, lead: int, whole: Tensor, share: Tensor, residual: Tensor | None) -> None:
    """A tile's gradient to its place; the lead's adds to that of the tile before."""
    place, own = tile.of(whole, 1), share[:, lead:]
    if residual is None:
        place.copy_(own)
    else:
        torch.add(own, residual, out=place)
    if lead:
        whole[tile.samples].narrow(1, tile.start - lead, lead).add_(share[:, :lead])


def _tiles_of(x: Tensor) -> Iterator[Tile]:
    batch, length, _ = x.shape
    return tiles(batch, length, CPU_TILE if x.device.type == "cpu" else CUDA_TILE)


def _is_little(x: Tensor) -> bool:
    """Whether what a function of x keeps is little: on a CPU, what fits a tile."""
    return x.device.type == "cpu" and x.shape[0] * x.shape[1] <= CPU_TILE


def _sum(total: Tensor | None, share: Tensor) -> Tensor:
    return share if total is None else total + share

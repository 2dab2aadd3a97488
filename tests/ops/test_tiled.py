"""A function in tiles is the function, and has its gradients, whatever the tiles."""

import pytest
import torch
from torch import Tensor

from hdna.ops import tiled
from hdna.ops.tiled import Piece, Tiling, tiles

BATCH, LENGTH, WIDTH, LEAD = 3, 23, 4, 2


def whole(x: Tensor, beside: Tensor, halo: Tensor, weight: Tensor) -> Tensor:
    """y[t] = (x[t] + x[t - 1] + x[t - 2]) weight + beside[t], with the halo before x[0]: (B, L, D)."""
    long = torch.cat((halo, x), dim=1)
    sums = long[:, 2:] + long[:, 1:-1] + long[:, :-2]
    return sums @ weight + beside.transpose(1, 2)


def of_a_piece(piece: Piece, weight: Tensor) -> Tensor:
    assert piece.beside is not None and (piece.halo is None) == (piece.lead > 0)
    before = torch.empty_like(piece.x[:, :0]) if piece.halo is None else piece.halo
    long = torch.cat((before, piece.x), dim=1)
    return (long[:, 2:] + long[:, 1:-1] + long[:, :-2]) @ weight + piece.beside.transpose(1, 2)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("size", [2, 3, 22, 23, 24, 50, 1000])
def test_is_the_function_and_has_its_gradients(
    size: int, channels_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles shorter than a sample, as long, longer, and of all samples; the last of a sample or of a batch shorter."""
    monkeypatch.setattr(tiled, "CPU_TILE", size)
    torch.manual_seed(0)
    shapes = ((BATCH, LENGTH, WIDTH), (BATCH, WIDTH, LENGTH), (BATCH, LEAD, WIDTH), (WIDTH, WIDTH))
    x, beside, halo, weight = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def function(piece: Piece, weight: Tensor) -> Tensor:
        y = of_a_piece(piece, weight)
        return y.transpose(1, 2) if channels_first else y

    got = Tiling(function, channels_first, LEAD)(x, weight, beside=beside, halo=halo)
    got = got.transpose(1, 2) if channels_first else got
    wanted = whole(x, beside, halo, weight)
    torch.testing.assert_close(got, wanted)
    noise, everything = torch.randn_like(wanted), (x, beside, halo, weight)
    torch.testing.assert_close(
        torch.autograd.grad(got, everything, noise), torch.autograd.grad(wanted, everything, noise)
    )


@pytest.mark.parametrize("size", [2, 7, 8, 9, 16, 17, 100])
def test_tiles_cover_every_position_once_and_none_is_larger_than_asked(size: int) -> None:
    seen = torch.zeros(5, 8, dtype=torch.int64)
    for tile in tiles(5, 8, size):
        part = tile.of(seen, 1)
        assert 0 < part.numel() <= max(size, 1)
        part += 1
    assert torch.equal(seen, torch.ones_like(seen))


def test_what_needs_no_gradient_gets_none() -> None:
    x, weight = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(WIDTH, WIDTH, requires_grad=True)
    result = Tiling(lambda piece, weight: piece.x @ weight)(x, weight)
    result.sum().backward()
    assert x.grad is None and weight.grad is not None
    torch.testing.assert_close(weight.grad, x.sum((0, 1))[:, None].expand(WIDTH, WIDTH))
    assert not Tiling(lambda piece, weight: piece.x @ weight)(x, weight.detach()).requires_grad


@pytest.mark.parametrize("into_residual", [False, True])
def test_what_is_kept_of_one_tile_changes_no_bit(into_residual: bool) -> None:
    """Nor does a second backward pass, for which nothing is kept any more."""
    torch.manual_seed(0)
    x, noise = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True), torch.randn(BATCH, LENGTH, WIDTH)
    weights = [torch.randn(WIDTH, WIDTH, requires_grad=True) for _ in range(2)]
    weights += [torch.randn(WIDTH, requires_grad=True)] if into_residual else []

    def function(piece: Piece, *weights: Tensor) -> Tensor:
        y = torch.sin(piece.x @ weights[0])
        return y if into_residual else y @ weights[1]

    again, kept = (Tiling(function, into_residual=into_residual, keeps=keeps)(x, *weights) for keeps in (False, True))
    assert torch.equal(again, kept)
    wanted = torch.autograd.grad(again, (x, *weights), noise)
    for more in (True, False):
        found = torch.autograd.grad(kept, (x, *weights), noise, retain_graph=more)
        assert all(map(torch.equal, found, wanted))

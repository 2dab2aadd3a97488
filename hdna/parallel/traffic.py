"""Sequence-parallel traffic of one layer and optimizer step, in closed form: bytes to other ranks, and collectives.

Shapes: B samples, D channels, P sequence ranks, S positions of a slice, E channels of one rank, W columns of one rank,
s bytes per activation. Filters are fp32 (4 bytes), spectra complex64 (8). fp64 models, used only in tests, send more
than stated here.

What a rank keeps for itself does not count. If P does not divide D, or S, ranks send different amounts: each function
takes the rank, and `busiest` picks the one that sends most.
"""

from dataclasses import dataclass

from hdna.ops.short_conv import REACH
from hdna.parallel import all_to_all as all_to_all_conv
from hdna.parallel import distributed_fft as distributed_fft_conv

TAP_BYTES, SPECTRUM_BYTES = 4, 8


@dataclass(frozen=True)
class Slice:
    """A rank's work in one micro step."""

    batch: int
    """Samples."""
    channels: int
    length: int
    """Positions of the slice."""
    ranks: int
    """Ranks that share a sample."""
    element_size: int
    """Bytes of an activation: 2 under bf16, 4 in fp32."""
    order: int = 2
    """Order of the Hyena recurrence: order - 1 long convolutions per layer."""


@dataclass(frozen=True)
class Traffic:
    """What one rank sends."""

    bytes_sent: int = 0
    collectives: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        """The sum."""
        return Traffic(self.bytes_sent + other.bytes_sent, self.collectives + other.collectives)

    def __mul__(self, times: int) -> "Traffic":
        """A multiple."""
        return Traffic(self.bytes_sent * times, self.collectives * times)


def all_to_all(part: Slice, rank: int, accumulation: int = 1) -> Traffic:
    """One long convolution by exchange of positions for channels, forward and backward, over a step's micro steps.

    The outbound trip sends the D - E channels of other ranks; the return trip sends the S positions of each of the
    P - 1 other ranks, E channels each. Each trip is made once forward (input, result) and once backward (their
    gradients): if P divides D, that is 4 · B D S (P - 1) / P · s bytes per micro step. The filters ride along with the
    step's first outbound trip, their gradient with its last return trip: 8 · D S (P - 1) / P bytes, once.
    """
    groups = all_to_all_conv.group_count(_activation_bytes(part), part.channels // part.ranks)
    mine = _share(part.channels, part.ranks, rank)
    numbers = ((part.channels - mine) + (part.ranks - 1) * mine) * part.length
    sent = numbers * (2 * part.batch * part.element_size * accumulation + TAP_BYTES)
    return Traffic(sent, 4 * groups * accumulation)


def distributed_fft(part: Slice, rank: int, accumulation: int = 1) -> Traffic:
    """One long convolution by a transform computed jointly by the ranks, forward and backward.

    Rows to columns send the S - W columns of other ranks, columns to rows the W columns of the P - 1 other rows. Per
    channel and B samples, in this order:
      forward: rows of input and filter (B s + 4), columns of their spectra 8 (B + 1), rows of the product 8 B, columns
      of the result in fp32 4 B;
      backward: rows of input, filter and gradient (2 B s + 4), columns of their spectra 8 (2 B + 1), rows of both
      products 8 (B + 1), columns of both gradients in fp32 4 (B + 1).
    """
    b, spectrum, tap = part.batch, SPECTRUM_BYTES, TAP_BYTES
    mine = _share(part.length, part.ranks, rank)
    rows = (b * part.element_size + tap) + spectrum * b + (2 * b * part.element_size + tap) + spectrum * (b + 1)
    columns = spectrum * (b + 1) + tap * b + spectrum * (2 * b + 1) + tap * (b + 1)
    sent = part.channels * ((part.length - mine) * rows + (part.ranks - 1) * mine * columns)
    block_width = max(1, distributed_fft_conv.WORKING_BYTES // (b * part.length * SPECTRUM_BYTES))
    blocks = -(-part.channels // block_width)
    return Traffic(sent, 8 * blocks) * accumulation


def halo(part: Slice, rank: int, accumulation: int = 1) -> Traffic:
    """The projected streams' last positions to the right, their gradient to the left: one collective each way."""
    message = part.batch * (part.order + 1) * part.channels * REACH * part.element_size
    neighbours = (rank > 0) + (rank < part.ranks - 1)
    return Traffic(neighbours * message, 2) * accumulation


def layer(long_conv: str, part: Slice, rank: int, accumulation: int = 1) -> Traffic:
    """A full layer of one optimizer step: long convolutions and halo; nothing if samples are not shared."""
    if part.ranks == 1:
        return Traffic()
    strategy = distributed_fft if long_conv == "distributed_fft" else all_to_all
    return strategy(part, rank, accumulation) * (part.order - 1) + halo(part, rank, accumulation)


def busiest(long_conv: str, part: Slice, accumulation: int = 1) -> Traffic:
    """The layer's traffic on the rank that sends most; all ranks take part in the same collectives."""
    return max((layer(long_conv, part, rank, accumulation) for rank in range(part.ranks)), key=lambda t: t.bytes_sent)


def _activation_bytes(part: Slice) -> int:
    return part.batch * part.channels * part.length * part.element_size


def _share(total: int, ranks: int, rank: int) -> int:
    """One rank's share of `total`, split as `exchange` splits channels and columns."""
    return total * (rank + 1) // ranks - total * rank // ranks

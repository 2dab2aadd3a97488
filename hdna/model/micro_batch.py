"""The model's input for one forward and backward pass.

A micro-batch is kept and sent to the device as the shards' bytes, one per token. The model's and the loss's tensors
(two int64 and one fp32, 20 bytes a token) are made on the device, by arithmetic on bytes: on a CPU core that does over
1 G tokens/s, comparisons and `torch.where` 0.4.
"""

from dataclasses import dataclass, replace

import torch

from hdna.genome import alphabet
from hdna.model.loss import IGNORE


@dataclass(frozen=True)
class MicroBatch:
    """One rank's input for a forward and backward pass: B samples of L positions, or of a slice of them."""

    tokens: torch.Tensor
    """(B, L + 1) uint8: the token at each position, plus the one after the last."""
    samples: torch.Tensor
    """(B,) int64: indices in the global batch, which key dropout."""
    soft_mask: torch.Tensor | None = None
    """(B, L + 1) bool: which tokens are soft-masked; None if none are, or if it does not matter."""
    ignore_n: bool = True
    """Whether N is excluded from the targets. Codes other than A, C, G, T and N always are."""
    repeat_weight: float = 1.0
    """Weight of a soft-masked target."""
    first_position: int = 0
    """Position of the first column in the whole sample; above 0 on a slice."""
    repeats_apart: bool = False
    """Whether soft-masked targets are summed apart from the others, all with a weight of 1: `weights` are (B, L, 2)."""

    @property
    def input_ids(self) -> torch.Tensor:
        """(B, L) int64."""
        return self.tokens[:, :-1].long()

    @property
    def targets(self) -> torch.Tensor:
        """(B, L) int64: the next base, or IGNORE where not predicted."""
        targets = self.tokens[:, 1:] - IGNORE  # bytes, which wrap
        targets *= self._predicted()
        targets += IGNORE
        return targets.view(torch.int8).long()

    @property
    def weights(self) -> torch.Tensor:
        """(B, L) float32: weight of each target in the loss, 0 where ignored; or (B, L, 2), see `repeats_apart`."""
        predicted = self._predicted()
        if self.repeats_apart:
            masked = self._masked(predicted)
            return torch.stack([predicted - masked, masked], -1).float()
        if self.soft_mask is None:
            return predicted.float()
        masked = self._masked(predicted)
        return (predicted - masked).float() + masked.float() * self.repeat_weight

    def weight_and_bases(self) -> tuple[float, int]:
        """The fp64 sum of the weights, and the number of targets with a weight above 0, counted from the bytes."""
        predicted = self._predicted()
        bases = int(predicted.count_nonzero())
        if self.soft_mask is None:
            return float(bases), bases
        masked = int(self._masked(predicted).count_nonzero())
        of_masked = float(torch.tensor(self.repeat_weight, dtype=torch.float32))  # as the loss rounds it
        plain = bases - masked
        return plain + masked * of_masked, bases if of_masked > 0 else plain

    def bases_apart(self) -> tuple[int, int]:
        """The number of targets that are not soft-masked, and of those that are."""
        predicted = self._predicted()
        masked = int(self._masked(predicted).count_nonzero())
        return int(predicted.count_nonzero()) - masked, masked

    def to(self, device: torch.device) -> "MicroBatch":
        """A copy on `device`."""
        return replace(
            self,
            tokens=self.tokens.to(device, non_blocking=True),
            samples=self.samples.to(device, non_blocking=True),
            soft_mask=None if self.soft_mask is None else self.soft_mask.to(device, non_blocking=True),
        )

    def positions(self, span: slice) -> "MicroBatch":
        """The same samples at the positions `span`; the last position's target is the base after it."""
        columns = slice(span.start, span.stop + 1)
        return replace(
            self,
            tokens=self.tokens[:, columns],
            soft_mask=None if self.soft_mask is None else self.soft_mask[:, columns],
            first_position=self.first_position + span.start,
        )

    def split(self, sizes: list[int]) -> list["MicroBatch"]:
        """Micro-batches of so many samples each, in order, sharing this one's memory."""
        masks = [None] * len(sizes) if self.soft_mask is None else self.soft_mask.split(sizes)
        parts = zip(self.tokens.split(sizes), self.samples.split(sizes), masks, strict=True)
        return [replace(self, tokens=tokens, samples=indices, soft_mask=mask) for tokens, indices, mask in parts]

    def without_targets(self) -> "MicroBatch":
        """One of the same shape that adds nothing to the loss: all N.

        Ranks without samples run it, because the others' collectives in a forward and backward pass need all ranks.
        """
        return replace(self, tokens=torch.full_like(self.tokens, alphabet.N), ignore_n=True)

    def _masked(self, predicted: torch.Tensor) -> torch.Tensor:
        """(B, L) uint8: which of the targets are soft-masked."""
        return torch.zeros_like(predicted) if self.soft_mask is None else predicted & self.soft_mask[:, 1:]

    def _predicted(self) -> torch.Tensor:
        """(B, L) uint8: 1 where the next token is a target, else 0. Tokens below A wrap to above 200."""
        targets = (alphabet.T if self.ignore_n else alphabet.N) - alphabet.A + 1
        beyond = (self.tokens[:, 1:] - alphabet.A).clamp_(max=targets)
        return (targets - beyond).clamp_(max=1)

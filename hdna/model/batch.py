"""What the model eats, for one forward and backward pass."""

from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class MicroBatch:
    """What one rank runs forward and backward at once; B samples of L positions, or of a slice of them."""

    input_ids: torch.Tensor
    """(B, L) int64."""
    targets: torch.Tensor
    """(B, L) int64: the next base, IGNORE where it is not predicted."""
    weights: torch.Tensor
    """(B, L) float32: weight of each target in the loss, 0 where ignored."""
    samples: torch.Tensor
    """(B,) int64: positions in the global batch, which key dropout."""
    first_position: int = 0
    """Position in the whole sample of the first column; above 0 on a slice."""

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on a device."""
        names = ("input_ids", "targets", "weights", "samples")
        return self._replaced({name: getattr(self, name).to(device, non_blocking=True) for name in names})

    def positions(self, span: slice) -> "MicroBatch":
        """The same samples at some of their positions. Targets were shifted before: a slice's last is the next base."""
        sliced = self._replaced({name: getattr(self, name)[:, span] for name in ("input_ids", "targets", "weights")})
        return replace(sliced, first_position=self.first_position + span.start)

    def _replaced(self, tensors: dict[str, Any]) -> "MicroBatch":
        return replace(self, **tensors)

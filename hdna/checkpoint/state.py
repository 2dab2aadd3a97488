"""Where a run stands: what a checkpoint's state.json says, and what resuming starts from."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class RunState:
    """The run's position. Its data position is the step alone (order law)."""

    step: int = 0
    """Optimizer steps done, skipped ones included."""
    tokens: int = 0
    """Tokens seen."""
    stage: int = 0
    """Stage of the curriculum that the last step belonged to."""
    updates: int = 0
    """Steps that changed the weights: Adam's own count."""
    skipped: int = 0
    """Steps passed over because their loss or gradient was not finite."""
    seed: int = 0
    """The recipe's seed."""
    recipe: str = ""
    """The recipe as resolved."""
    data: dict[str, str] = field(default_factory=dict)
    """sha256 of each shard set's manifest, by its number in the recipe."""

    def as_json(self) -> dict[str, Any]:
        """For state.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "RunState":
        """From a checkpoint's state.json."""
        return cls(**{known.name: state[known.name] for known in fields(cls)})

"""A run's position: the content of a checkpoint's state.json, from which training resumes."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hdna import storage
from hdna.errors import InputError

STATE_FILE = "state.json"


@dataclass
class RunState:
    """The position of a run. Its position in the data is the step alone (order law)."""

    step: int = 0
    """Optimizer steps done, skipped ones included."""
    tokens: int = 0
    """Tokens seen."""
    stage: int = 0
    """Curriculum stage of the last step."""
    updates: int = 0
    """Steps that changed the weights: Adam's step count."""
    skipped: int = 0
    """Steps skipped because their loss or gradient was not finite."""
    seed: int = 0
    """The recipe's seed."""
    recipe: str = ""
    """The recipe as resolved."""
    data: dict[str, str] = field(default_factory=dict)
    """sha256 of each shard set's manifest, by its number in the recipe."""

    def to_json(self) -> dict[str, Any]:
        """The content of state.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "RunState":
        """From the content of a checkpoint's state.json. Raises KeyError when a field is missing."""
        return cls(**{known.name: state[known.name] for known in fields(cls)})


def read_state(checkpoint_url: str) -> RunState:
    """The state of a committed checkpoint. Raises InputError when its state.json is missing or damaged."""
    url = storage.join(checkpoint_url, STATE_FILE)
    try:
        return RunState.from_json(json.loads(storage.read(url)))
    except FileNotFoundError:
        raise InputError(f"{url}: missing, although the manifest lists it: use an earlier checkpoint") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{url}: damaged ({error}): use an earlier checkpoint") from None

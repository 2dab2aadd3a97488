"""A run's position: the content of a checkpoint's state.json, from which training resumes."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hdna import storage
from hdna.checkpoint.listing import checkpoint_manifest
from hdna.errors import InputError
from hdna.storage.manifest import Manifest
from hdna.storage.untrusted_json import Count, Sha256, convert_json, parse_json

STATE_FILE = "state.json"


@dataclass
class RunState:
    """The position of a run. Its position in the data is the step alone (order law)."""

    step: Count = 0
    """Optimizer steps done, skipped ones included."""
    tokens: Count = 0
    """Tokens seen."""
    stage: Count = 0
    """Curriculum stage of the last step."""
    updates: Count = 0
    """Steps that changed the weights: Adam's step count."""
    skipped: Count = 0
    """Steps skipped because their loss or gradient was not finite."""
    seed: Count = 0
    """The recipe's seed."""
    recipe: str = ""
    """The recipe as resolved."""
    data: dict[str, Sha256] = field(default_factory=dict)
    """sha256 of each shard set's manifest, by its number in the recipe."""

    def to_json(self) -> dict[str, Any]:
        """The content of state.json."""
        return asdict(self)


def read_state(checkpoint_url: str) -> RunState:
    """The state of a committed checkpoint. Raises InputError when its state.json is missing or damaged."""
    return parse_state(checkpoint_manifest(checkpoint_url))


def parse_state(manifest: Manifest) -> RunState:
    """The state of the checkpoint that a manifest describes; raises like `read_state`."""
    url, advice = storage.join(manifest.url, STATE_FILE), "use an earlier checkpoint"
    values = parse_json(manifest.read(STATE_FILE), dict[str, Any], url, advice)
    if missing := {known.name for known in fields(RunState)} - set(values):
        raise InputError(f"{url}: lacks {', '.join(sorted(missing))}: {advice}")
    state = convert_json(values, RunState, url, advice)
    if manifest.body.get("step") != state.step:
        raise InputError(f"{url}: step {state.step}, but its manifest says {manifest.body.get('step')}: {advice}")
    return state

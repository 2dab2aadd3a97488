"""What is known of the weights that a card is about, read once.

Cards are published, so of a URL only the last names are said, which no machine or bucket can be guessed from.
"""

from dataclasses import dataclass

from hdna.checkpoint import LoadedCheckpoint, run_of
from hdna.checkpoint.listing import checkpoint_manifest
from hdna.config import RunConfig
from hdna.errors import InputError
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna.report.history import History, read_history
from hdna.run.files import ENVIRONMENT, WEIGHTS_FROM, read_json, read_metrics

UNREACHED = "not reached when this card was written"


@dataclass(frozen=True)
class Subject:
    """A checkpoint, and what its run and its data say."""

    checkpoint: LoadedCheckpoint
    config: RunConfig
    run_url: str | None
    history: History | None
    """Up to the checkpoint's step; None for an import, or a checkpoint copied away from its run."""
    sets: list[ShardSet | str]
    """The shard sets of the recipe, or why one is not known."""

    @property
    def name(self) -> str:
        """The last part of the run's URL, or of the checkpoint's."""
        return last_names(self.run_url or self.checkpoint.url, 1)

    @property
    def imported(self) -> dict[str, object] | None:
        """The entry of the checkpoint's manifest about the weights that were imported; None if none were."""
        found = checkpoint_manifest(self.checkpoint.url).body.get("imported")
        return found if isinstance(found, dict) else None

    @property
    def begun_from(self) -> str | None:
        """The weights that the run began from, as the run recorded them, or as its recipe names them."""
        recorded = read_json(self.run_url, ENVIRONMENT).get(WEIGHTS_FROM) if self.run_url else None
        return str(recorded) if recorded else self.config.run.init_from


def read_subject(checkpoint: LoadedCheckpoint, config: RunConfig) -> Subject:
    """Gather what is known about the weights of a checkpoint, whose recipe is `config`."""
    run_url = run_of(checkpoint.url)
    history = None
    if run_url is not None and read_metrics(run_url):
        history = read_history(run_url).up_to(checkpoint.state.step)
    checksums = checkpoint.state.data
    sets = [_shard_set(url, checksums.get(str(number))) for number, url in enumerate(config.data.shards) if checksums]
    return Subject(checkpoint, config, run_url, history if history and history.steps else None, sets)


def last_names(url: str, count: int) -> str:
    """The last parts of a path or URL, without a scheme or bucket before them unless there are no others."""
    return "/".join(url.rstrip("/").split("/")[-count:]) or url


def _shard_set(url: str, checksum: str | None) -> ShardSet | str:
    """The set that was trained on; a card can do without one that is gone, and must do without another one."""
    try:
        found = load_shard_set(url)
    except InputError:
        return UNREACHED
    return found if found.checksum == checksum else "another set is there now"

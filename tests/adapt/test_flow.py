"""An adaptation from FASTA to comparison: what it scores, what it says, and that the same call goes on."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.rank_tasks import run_training
from support.ranks import run_ranks

from hdna.adapt.flow import Adapted, adapt
from hdna.checkpoint import load_weights
from hdna.config import RunConfig, dump_recipe
from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.interval import Interval
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA
from hdna.run.files import BASELINES, read_json, read_metrics
from hdna_prep.pool import InThisProcess

pytestmark = pytest.mark.ranks
SHORT = ["curriculum.0.until_tokens=10240", "evaluate.every_steps=4", "optim.learning_rate=3e-3"]


def write_fasta(path: Path, shares: list[float], seed: int) -> Path:
    """60,000 random bases of a composition."""
    bases = np.random.default_rng(seed).choice(np.frombuffer(b"ACGT", np.uint8), size=60_000, p=shares)
    path.write_bytes(b">chr\n" + bases.tobytes() + b"\n")
    return path


class Trainer:
    """Trains recipes on one rank, and keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained: list[RunConfig] = []

    def __call__(self, config: RunConfig) -> None:
        self.trained.append(config)
        recipe = self.folder / f"recipe-{len(self.trained)}.yaml"
        recipe.write_text(dump_recipe(config))
        run_ranks(1, run_training, recipe=recipe, overrides=[])
        # What the command's launcher claims the run with.
        Path(config.run.url, "recipe.yaml").write_text(dump_recipe(config))


Adaptation = tuple[Path, Trainer, Adapted, list[str]]


@pytest.fixture(scope="module")
def adaptation(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Adaptation:
    """A source trained on one genome, adapted to another."""
    folder = tmp_path_factory.mktemp("adapt")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={folder / 'source'}"])
    write_fasta(folder / "other.fa", [0.4, 0.1, 0.1, 0.4], seed=1)
    train, said = Trainer(folder), []  # type: tuple[Trainer, list[str]]
    return folder, train, call(folder, train, said.append), said


def call(
    folder: Path, train: Trainer, say: Callable[[str], None] = lambda text: None, fasta: str = "other.fa"
) -> Adapted:
    return adapt(
        [str(folder / fasta)], str(folder / "source"), str(folder / "run"), SHORT, True, InThisProcess(), train, say
    )


def test_the_first_score_is_the_source_s_on_the_new_genome(adaptation: Adaptation) -> None:
    """Against logits taken one by one from the genome store, in fp64."""
    folder, train, _, _ = adaptation
    config = train.trained[0]
    model = HyenaDNA(config.model).eval()
    model.load_state_dict(load_weights(str(folder / "source")))
    store = GenomeStore.open(str(folder / "run-data" / "other.zarr"))
    context = config.curriculum[0].context_length
    nats = []
    for shard in load_shard_set(str(folder / "run-data" / "shards")).shards:
        for sample in shard.samples if shard.split == "valid" else ():
            for start in range(sample.start, sample.end - context, context):
                tokens = torch.from_numpy(store.read(Interval("chr", start, start + context + 1))).long()
                with torch.no_grad():
                    logits = model(tokens[None, :-1])[0].double()
                nats.append(torch.nn.functional.cross_entropy(logits, tokens[1:]))
    found = read_json(str(folder / "run"), BASELINES)
    assert found["source"] == pytest.approx(torch.stack(nats).mean().item() / math.log(2), rel=1e-6)
    assert found["source_context_length"] == context


def test_it_learns_the_new_genome_and_says_how_much(adaptation: Adaptation) -> None:
    """A composition of 0.4, 0.1, 0.1, 0.4 has an entropy of 1.722 bits; the source knows another one."""
    folder, _, made, _ = adaptation
    entropy = -2 * (0.4 * math.log2(0.4) + 0.1 * math.log2(0.1))
    before = read_json(str(folder / "run"), BASELINES)["source"]
    adapted, scratch = (
        [(r.tokens, r.valid_bits_per_base) for r in read_metrics(str(folder / name)) if r.valid_bits_per_base]
        for name in ("run", "run-scratch")
    )
    after, alone = adapted[-1][1], scratch[-1][1]
    assert after is not None and alone is not None
    assert entropy - 0.02 < after < before
    assert f"{before:.4f} valid bits per base before, {after:.4f} after 10,240 tokens" in made.verdict
    assert f"from scratch {alone:.4f}" in made.verdict
    reached = [tokens for tokens, bits in adapted if bits is not None and bits <= alone]
    assert (f"after {reached[0]:,} tokens" if reached else "has not reached") in made.verdict
    assert Path(made.page).name == "comparison.html"
    assert (folder / "run" / "report" / "index.html").exists()


def test_both_runs_are_the_same_but_for_their_weights(adaptation: Adaptation) -> None:
    _, train, _, _ = adaptation
    adapted, scratch = train.trained[:2]
    assert adapted.run.init_from is not None and scratch.run.init_from is None
    assert (adapted.data, adapted.curriculum, adapted.optim) == (scratch.data, scratch.curriculum, scratch.optim)


def test_the_same_call_goes_on_with_what_there_is_and_another_genome_is_refused(adaptation: Adaptation) -> None:
    folder, train, made, said = adaptation
    assert [text.split()[0] for text in said] == ["genome", "shards", "from"]
    again: list[str] = []
    count = len(train.trained)
    before = (folder / "run-data" / "shards" / "manifest.json").stat().st_mtime_ns
    assert call(folder, train, again.append).verdict == made.verdict
    assert train.trained[count:] == train.trained[:2]
    assert [text.split()[0] for text in again] == ["from"]
    assert (folder / "run-data" / "shards" / "manifest.json").stat().st_mtime_ns == before
    kept = (folder / "other.fa").read_bytes()
    (folder / "other.fa").unlink()
    with pytest.raises(InputError, match=r"other\.fa"):
        call(folder, train)
    write_fasta(folder / "other.fa", [0.25, 0.25, 0.25, 0.25], seed=2)
    with pytest.raises(InputError, match="was made of another"):
        call(folder, train)
    (folder / "other.fa").write_bytes(kept)
    write_fasta(folder / "third.fa", [0.25, 0.25, 0.25, 0.25], seed=2)
    with pytest.raises(InputError, match="is of other genomes"):
        call(folder, train, fasta="third.fa")


def test_a_place_with_other_files_is_refused_before_anything_is_made(adaptation: Adaptation, tmp_path: Path) -> None:
    folder, train, _, _ = adaptation
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an hdna run"):
        adapt(
            [str(folder / "other.fa")],
            str(folder / "source"),
            str(tmp_path / "run"),
            [],
            True,
            InThisProcess(),
            train,
            print,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_two_genomes_of_one_name_are_refused(adaptation: Adaptation, tmp_path: Path) -> None:
    folder, train, _, _ = adaptation
    fastas = [str(folder / "other.fa"), str(write_fasta(tmp_path / "other.fa", [0.25] * 4, seed=3))]
    with pytest.raises(InputError, match="two genomes are called other"):
        adapt(fastas, str(folder / "source"), str(tmp_path / "run"), [], True, InThisProcess(), train, print)

"""Embeddings computed by ranks that share sequences, and by workers of Ray: the same as in one process."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from support.embed_tasks import embedder_lost_once, shared_parts, shared_sequences
from support.fork_server import REPO
from support.random_checkpoint import random_checkpoint
from support.ranks import run_ranks
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config.schema import ModelConfig
from hdna.downstream.embed import on_ray, parts
from hdna.downstream.embed.embedder import Wanted
from hdna.downstream.embed.flow import embed
from hdna.downstream.embed.messages import pack, unpack
from hdna.downstream.embed.sequences import Origin
from hdna.downstream.embed.work import Work, Worker
from hdna.errors import InputError
from hdna_cluster.batches import _raise_errors, _Worker, map_on_ray

MEAN = Wanted(None, "mean", "float32")


@pytest.mark.ranks
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_that_share_sequences_embed_as_one_process_does(ranks: int) -> None:
    run_ranks(ranks, shared_sequences)


@pytest.mark.ranks
def test_ranks_fill_the_parts_that_one_process_would(tmp_path: Path) -> None:
    run, origin = write_sequences(tmp_path)
    run_ranks(2, shared_parts, run, str(origin.fasta), tmp_path)


def write_sequences(folder: Path) -> tuple[str, Origin]:
    """A run, and twelve records."""
    random_checkpoint(folder / "run", ModelConfig(d_model=8, n_layer=1, l_max=300, filter_order=8))
    rng = np.random.default_rng(4)
    records = ["".join(rng.choice(list("ACGT"), length)) for length in rng.integers(1, 300, 12)]
    (folder / "g.fa").write_text("".join(f">r{n}\n{letters}\n" for n, letters in enumerate(records)))
    return str(folder / "run"), Origin(fasta=str(folder / "g.fa"))


@pytest.mark.ray
def test_workers_of_ray_give_the_same_rows_in_order_even_if_one_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BASES", 400)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO / "tests"), os.environ.get("PYTHONPATH", "")]))
    run, origin = write_sequences(tmp_path)

    def on_workers(work: Work) -> None:
        arguments = (tmp_path / "mark", work.subject.url, work.wanted)
        work.take(map_on_ray(embedder_lost_once, arguments, work.messages(), 2))

    for name, where in (("here", None), ("ray", on_workers)):
        embed(run, origin, str(tmp_path / f"{name}.parquet"), MEAN, where, lambda line: None)
    assert (tmp_path / "mark").exists()
    here, ray = (pyarrow.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("here", "ray"))
    assert ray.equals(here) and ray["name"].to_pylist() == [f"r{number}" for number in range(12)]


def test_what_a_worker_raises_is_its_answer() -> None:
    def make(kind: type[Exception]) -> object:
        raise kind("no such checkpoint")

    batch = {"data": np.zeros((1, 9), np.uint8)}
    with pytest.raises(InputError, match=r"^no such checkpoint$"):
        _raise_errors({key: value[0] for key, value in _Worker(make, (InputError,))(batch).items()})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"in a Ray worker: Traceback(?s:.*)ValueError: no such checkpoint"):
        _raise_errors({key: value[0] for key, value in _Worker(make, (ValueError,))(batch).items()})  # type: ignore[arg-type]


def test_tokens_survive_the_way_to_a_worker() -> None:
    tokens = [np.arange(length, dtype=np.uint8) for length in (3, 1, 200)]
    for found, own in zip(unpack(pack(tokens)), tokens, strict=True):
        np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize(("options", "job"), [(["--backend", "ray", "--workers", "3"], False), ([], True), ([], False)])
def test_ray_is_used_when_asked_for_or_in_a_submitted_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], job: bool
) -> None:
    run, origin = write_sequences(tmp_path)
    asked: list[int | None] = []

    def noted(workers: int | None) -> Worker:
        asked.append(workers)
        raise InputError("on Ray")

    monkeypatch.setattr(on_ray, "on_ray", noted)
    if job:
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    words = ["eval", "embed", run, "--fasta", str(origin.fasta), "--out", str(tmp_path / "e.zarr"), *options]
    ended = CliRunner().invoke(app, words)
    assert asked == ([3] if options else [None] if job else [])
    assert (ended.exception is None) == (tmp_path / "e.zarr").exists() == (not asked)

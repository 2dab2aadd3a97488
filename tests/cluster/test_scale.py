"""A run on a large cluster: closed forms against what a few ranks are seen to do, and at 64 to 1,024 workers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed as dist  # noqa: TID251 - ranks that are made up
from ray.train.v2._internal.execution.worker_group.worker_group import WorkerGroup
from support.bucket_requests import counted, first_part, is_upload, number_of, until_first_save
from support.faulty_proxy import FaultyProxy, faulty_network
from support.fork_server import REPO
from support.rank_tasks import run_fenced
from support.ranks import run_ranks
from support.s3 import moto_bucket
from support.scale_tasks import count_meeting, run_on_own_node
from torch.testing._internal.distributed.fake_pg import FakeStore

from hdna import storage
from hdna.checkpoint import files, list_checkpoints, remove_interrupted
from hdna.config import RunConfig, load_recipe
from hdna.data.order import WindowTable, window_table
from hdna.errors import InputError, LostWorkerError
from hdna.genome.shard_set import load_shard_set
from hdna.parallel import Mesh
from hdna.run import metrics
from hdna.run.lease import RENEW_S, Lease
from hdna.run.status import HEARTBEAT_S, read_status
from hdna.storage.manifest import FileEntry
from hdna.train import save as train_save
from hdna_cluster import driver, scale_bucket
from hdna_cluster.resources import worker_resources
from hdna_cluster.restarts import keep_going
from hdna_cluster.scale import DRIVER_ASKS_PER_S, OUTCOME_BYTES, ClusterShape, control, groups_across_nodes
from hdna_cluster.scale_bucket import Requests
from hdna_cluster.scale_reads import ShardReads
from hdna_prep import shards

SIZES = (64, 256, 1024)
HG38 = WindowTable(np.full(600, 1 << 22, np.int64), np.arange(600) // 16)
"""Its train windows of 4 Mi bases, sixteen in a shard."""


def large(workers: int) -> RunConfig:
    return load_recipe("large_1m", [f"parallel.workers={workers}"])


@pytest.fixture
def bucket(tiny_set: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket with the tiny set; no shard is cached yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with moto_bucket() as url:
        for path in sorted(tiny_set.iterdir()):
            storage.upload(path, f"{url}/shards/{path.name}")
        yield url


@pytest.fixture
def proxy(bucket: str) -> Iterator[FaultyProxy]:
    with faulty_network() as proxy:
        yield proxy


@pytest.mark.ranks
def test_saves_and_a_resume_ask_the_bucket_as_often_as_computed(
    bucket: str, proxy: FaultyProxy, tiny_recipe: Path
) -> None:
    """Three ranks; the second group goes on to step 12 after the first one is lost."""
    url = f"{bucket}/run"
    overrides = [f"run.url={url}", f"data.shards=[{bucket}/shards]", "parallel.workers=3", "checkpoint.keep_last=2"]
    overrides.append("evaluate.every_steps=2")
    longer = [*overrides, "curriculum.1.until_tokens=24576"]
    config, lease = load_recipe(str(tiny_recipe), longer), Lease(url, 0)
    losses: list[int] = []

    def attempt() -> None:
        number = lease.next_fence().number
        remove_interrupted(url)
        run_ranks(3, run_fenced, recipe=tiny_recipe, overrides=longer if losses else overrides, number=number)
        if not losses:
            losses.append(len(proxy.requests))
            raise LostWorkerError("as if after step 10")

    keep_going(attempt, url, lambda cause: None, lambda: False)
    (lost,) = losses
    first_parts = [first_part(proxy.requests[:lost], step) for step in (6, 8, 10)]
    expected = scale_bucket.save(config).requests
    for begin, end in pairwise(first_parts):
        uploads = {request for request in proxy.requests[begin:end] if is_upload(request)}
        others = counted([request for request in proxy.requests[begin:end] if not is_upload(request)])
        assert replace(others, put=others.put + len(uploads)) == expected
    resumed = until_first_save(proxy.requests[lost:])
    assert counted(resumed) == scale_bucket.resume(config).requests
    newest = list_checkpoints(url)[-1]
    assert newest.step == 12 and tensor_bytes(newest.url) == scale_bucket.checkpoint_bytes(config)


def tensor_bytes(checkpoint_url: str) -> int:
    """Of all parts, without their headers: eight bytes with the length of what follows, and that."""
    parts = [name for name in storage.list_objects(checkpoint_url) if name.startswith("part-")]
    contents = [storage.read(f"{checkpoint_url}/{name}") for name in parts]
    return sum(len(data) - 8 - int.from_bytes(data[:8], "little") for data in contents)


@pytest.mark.ray
@pytest.mark.chaos  # a minute; the other counts are tried by every run of the tests
def test_a_command_asks_the_bucket_as_often_as_computed(bucket: str, proxy: FaultyProxy, tiny_recipe: Path) -> None:
    """Up to its first save, beside what it does every few seconds; and that as often as its time says."""
    words = [f"run.url={bucket}/run", f"data.shards=[{bucket}/shards]", "parallel.workers=2"]
    subprocess.run([Path(sys.executable).with_name("hdna"), "train", tiny_recipe, *words], check=True, timeout=600)
    beginning = until_first_save(proxy.requests)
    renewed, looked = number_of(beginning, "put", "/lease/") - 2, number_of(beginning, "list", "lease") - 3
    beats = number_of(beginning, "put", "/run/state.json") - 1
    found = counted(beginning)
    found = replace(found, put=found.put - renewed - beats, list=found.list - looked)
    assert found == scale_bucket.start(load_recipe(str(tiny_recipe), words)).requests
    status = read_status(f"{bucket}/run")
    assert status is not None
    repeated = number_of(proxy.requests, "put", "/lease/") - 3 + number_of(proxy.requests, "put", "/run/state.json") - 2
    expected = status.wall_seconds * (1 / RENEW_S + 1 / HEARTBEAT_S)
    assert repeated == pytest.approx(expected, abs=2)


def test_metrics_are_uploaded_as_often_as_assumed() -> None:
    assert metrics._PUBLISHED_EVERY_S == scale_bucket.PUBLISHED_EVERY_S
    assert shards._SHARD_BASES == scale_bucket.SHARD_BASES
    assert files._READ_AT_ONCE == scale_bucket.READ_AT_ONCE
    assert 1 / driver._PACE_S == DRIVER_ASKS_PER_S
    part = train_save._Part(FileEntry(1, "0" * 64))
    assert part.to_row().nbytes == OUTCOME_BYTES


@pytest.mark.ranks
def test_each_node_copies_and_opens_the_shards_that_the_order_says(
    bucket: str, proxy: FaultyProxy, tiny_set: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three nodes of one rank; rank 0 also reads all of so small a set for the baselines."""
    monkeypatch.setattr(shards, "_SHARD_BASES", 5_000)
    url = f"{bucket}/many"
    shards.write_shards([str(tiny_set.parent / "genome.zarr")], url, None, "hash", 2048)
    overrides = [f"run.url={tmp_path / 'run'}", f"data.shards=[{url}]", "parallel.workers=3"]
    run_ranks(3, run_on_own_node, recipe=tiny_recipe, overrides=overrides, folder=tmp_path)

    made, config = load_shard_set(url), load_recipe(str(tiny_recipe), overrides)
    train = [shard for shard in made.shards if shard.split == "train"]
    reads, shape = ShardReads(config, [window_table(made, "train")]), ClusterShape(3, 1)
    copied = {int(number) for step in range(10) for number in reads.of_step(step)}
    assert sum(reads.copied(range(10))) == len(copied) < len(train)
    for rank in (1, 2):
        cached = {path.stem for path in (tmp_path / f"node-{rank}" / "hdna" / "shards").iterdir()}
        assert {number for number, shard in enumerate(train) if shard.sha256 in cached} == copied
        opened = json.loads((tmp_path / f"opened-{rank}.json").read_text())
        needed = {int(number) for step in range(10) for number in reads.of_node(step, shape, rank)}
        assert {number for number, shard in enumerate(train) if shard.url in opened} == needed
    fetched = [request for request in proxy.requests if request.startswith("GET") and "/many/train-" in request]
    assert len(fetched) == len(train) + 2 * len(copied)


@pytest.mark.ranks
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_that_meet_take_the_sockets_and_bytes_computed(ranks: int, tmp_path: Path) -> None:
    run_ranks(ranks, count_meeting, folder=tmp_path)
    counts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(ranks)]
    expected = control(ranks)
    assert {sockets for sockets, _ in counts} == {expected.sockets}
    assert sum(read for _, read in counts) == expected.meeting_bytes


@pytest.mark.parametrize("nodes", [8, 32, 128])
@pytest.mark.parametrize("sequence_parallel", [3, 4, 8, 12])
def test_groups_across_nodes_are_those_of_the_mesh(nodes: int, sequence_parallel: int) -> None:
    """Whose ranks, each asked in turn, are in no group with one of another node; for some thirty ranks of the run."""
    shape = ClusterShape(nodes, 8)
    across = groups_across_nodes(shape, sequence_parallel)
    for rank in range(0, shape.workers, shape.workers // 32 + 1):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=shape.workers)
        mesh = Mesh.of_this_process(sequence_parallel)
        members = [] if mesh.is_idle else dist.get_process_group_ranks(mesh.sequence_group)
        dist.destroy_process_group()
        assert (len({member // 8 for member in members}) > 1) == any(rank in group for group in across)
    assert bool(across) == (8 % sequence_parallel > 0)


def test_ray_numbers_ranks_node_by_node() -> None:
    """Its own function, of workers that come in any order."""
    places = [("b", "1"), ("a", "0"), ("b", "0"), ("a", "1")]
    workers = [SimpleNamespace(metadata=SimpleNamespace(node_id=n, accelerator_ids={"GPU": [g]})) for n, g in places]
    numbered = WorkerGroup._sort_workers_by_gpu_id_grouped_by_node(workers)
    assert [worker.metadata.node_id for worker in numbered] == ["b", "b", "a", "a"]


def growth(figures: dict[int, dict[str, float]]) -> set[str]:
    """Names of the figures that are larger for more workers."""
    smallest, *_, largest = SIZES
    return {name for name, value in figures[largest].items() if value > figures[smallest][name]}


def test_what_grows_with_the_workers_is_known() -> None:
    """And nothing else does: each of these is named in docs/cluster.md."""
    figures = {}
    for workers in SIZES:
        config = large(workers)
        loads = {"start": scale_bucket.start(config), "resume": scale_bucket.resume(config)}
        loads |= {"save": scale_bucket.save(config), "hour": scale_bucket.hour()}
        chains = {f"chain of a {name}": load.one_by_one for name, load in loads.items()}
        moved = {f"bytes of a {name}": load.bytes_read + load.bytes_written for name, load in loads.items()}
        figures[workers] = {**asdict(control(workers)), **chains, **moved}
    assert growth(figures) == {
        "sockets",
        "meeting_bytes",
        "gathered_bytes",
        "controller_per_s",
        "chain of a save",
        "chain of a resume",
    }
    tensors = 8 * 23 + 3  # the most parts that a checkpoint of this model can have
    assert figures[256]["chain of a save"] == figures[1024]["chain of a save"] == tensors + 13


def test_the_documents_say_what_is_computed() -> None:
    saves, resumes = ([f(large(workers)) for workers in SIZES] for f in (scale_bucket.save, scale_bucket.resume))
    controls = [control(workers) for workers in SIZES]
    rows: dict[str, list[float]] = {
        "requests a second between saves": [scale_bucket.hour().requests.total / 3600] * 3,
        "requests of a save": [load.requests.total for load in saves],
        "of these one after another, by rank 0": [load.one_by_one for load in saves],
        "MB that a save writes, and reads again to check them": [load.bytes_written / 1e6 for load in saves],
        "requests to go on after a loss": [load.requests.total for load in resumes],
        "of these one after another": [load.one_by_one for load in resumes],
        "shards that each node copies in a step, until it has all": [scale_bucket.shards_per_step(large(64))] * 3,
        "messages a second to the driver, beside one a step": [each.driver_per_s for each in controls],
        "messages a second to Ray Train's controller": [int(each.controller_per_s) for each in controls],
        "kB that every rank gathers in a save": [each.gathered_bytes / 1e3 for each in controls],
        "sockets of each rank for saves": [each.sockets for each in controls],
        "MB through rank 0's store while the ranks meet": [each.meeting_bytes / 1e6 for each in controls],
    }
    text = (REPO / "docs" / "cluster.md").read_text()
    for name, values in rows.items():
        cells = (f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" for value in values)
        assert f"| {name} | {' | '.join(cells)} |" in text


@pytest.mark.parametrize("workers", SIZES)
def test_each_worker_gets_one_gpu_and_its_share_of_a_node(workers: int) -> None:
    nodes = [{"Alive": True, "Resources": {"GPU": 8.0, "CPU": 96.0}}] * (workers // 8)
    asked = workers, workers, "parallel.workers"
    assert worker_resources(SimpleNamespace(nodes=lambda: nodes), *asked) == {"GPU": 1.0, "CPU": 12.0}
    with pytest.raises(InputError, match=f"parallel.workers={workers}: the cluster has {workers - 8} GPUs"):
        worker_resources(SimpleNamespace(nodes=lambda: nodes[1:]), *asked)


@pytest.mark.parametrize("workers", SIZES)
@pytest.mark.parametrize("step", [0, 3000])
def test_a_node_copies_the_same_shards_in_any_cluster(workers: int, step: int) -> None:
    """Of a step, whose samples all nodes together need, each of them its own."""
    reads, shape = ShardReads(large(workers), [HG38]), ClusterShape(workers // 8, 8)
    copied = reads.of_step(step).tolist()
    assert copied == ShardReads(large(8), [HG38]).of_step(step).tolist()
    needed = [set(reads.of_node(step, shape, node).tolist()) for node in range(shape.nodes)]
    assert set().union(*needed) == set(copied)


def test_a_node_has_copied_all_shards_after_as_many_steps_as_they_last() -> None:
    """An epoch of 600 windows of four crops has 2,400 of them, 128 a step; each epoch ends within a step."""
    config = large(1024)
    first = next(number for number in range(300, 4000) if number * 128_000_000 >= 256_000_000_000)
    copied = list(ShardReads(config, [HG38]).copied(range(first, first + 25)))
    assert sum(copied) == 38 and copied[19:] == [0] * 6
    assert scale_bucket.shards_per_step(config) == pytest.approx(38 / (2400 / 128), rel=0.1)


def test_lists_and_deletes_have_pages_of_a_thousand(bucket: str, proxy: FaultyProxy) -> None:
    from moto.backends import get_backend

    backend = get_backend("s3")["123456789012"]["aws"]
    for number in range(1001):
        backend.put_object(bucket.removeprefix("s3://"), f"run/{number}", b"")
    assert len(storage.list_objects(f"{bucket}/run")) == 1001
    storage.delete(f"{bucket}/run", [str(number) for number in range(1001)])
    pages = scale_bucket._pages(1001)
    assert counted(proxy.requests) == Requests(list=pages, delete=pages) == Requests(list=2, delete=2)
    assert not storage.list_objects(f"{bucket}/run")

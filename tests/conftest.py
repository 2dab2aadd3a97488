"""What many tests share: a small shard set with N in awkward places, and a tiny recipe."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.ray_cluster import Cluster, running_cluster

# A script's background job starts with SIGINT ignored, and children would inherit that: some tests interrupt theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)
# As many test processes run as there are cores: a second thread of each would only wait, by spinning, for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without the command's last net: an unexpected error shows its traceback, and fails the test that meets it.
os.environ["HDNA_DEBUG"] = "1"


TOGETHER = (
    "laws/test_layout.py",
    "laws/test_resume.py",
    "parallel/test_traffic.py",
    "storage/",
    "data/test_cache.py",
    "adapt/test_flow.py",
    "train/test_frozen.py",
    "train/test_init_from.py",
)
"""Modules and folders whose tests share a fixture that takes seconds, so that one process should run them all."""


_SERVERS = {"server", "bucket", "proxy", "place"}
"""Fixtures that start an S3 server."""
_LENGTHY = (
    "laws/test_lossless.py",
    "laws/test_door.py",
    "cli/",
    "fuzz/",
    "faults/",
    "prep/test_interrupted.py",
    "prep/test_prepare_script.py",
)
"""Modules of properties over many examples, or of commands in processes of their own."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the suite over processes: all clusters in one, one after another; those that share a fixture in one."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")
        if path.startswith(_LENGTHY):
            item.add_marker("lengthy")
        group = next((name for name in TOGETHER if path.startswith(name)), None)
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif group:
            item.add_marker(pytest.mark.xdist_group(group))
    # Starting a cluster or ranks takes longest: what is left at the end should be short.
    items.sort(key=lambda item: not (item.get_closest_marker("ray") or item.get_closest_marker("ranks")))


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard set of 120 kb in windows of 2,048 bases, with N runs inside windows and lower-case stretches."""
    from hdna_prep.encode import encode_genome
    from hdna_prep.shards import write_shards

    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(7)
    bases = rng.choice(np.frombuffer(b"ACGT", np.uint8), size=120_000, p=[0.35, 0.15, 0.2, 0.3])
    for start in range(500, 120_000, 1_100):
        bases[start : start + start % 190] = ord("N")
    bases[20_000:50_000] |= 0x20
    (folder / "genome.fa").write_bytes(
        b">one\n" + bases[:70_000].tobytes() + b"\n>two\n" + bases[70_000:].tobytes() + b"\n"
    )
    encode_genome([str(folder / "genome.fa")], str(folder / "genome.zarr"))
    write_shards([str(folder / "genome.zarr")], str(folder / "shards"), None, "hash", 2048)
    return folder / "shards"


@pytest.fixture(scope="session")
def tiny_recipe(tiny_set: Path) -> Path:
    """Ten steps of a very small model through two context lengths, dropout on, checkpoint every second step.

    Tests that train give a run.url of their own.
    """
    path = tiny_set.parent / "tiny.yaml"
    path.write_text(f"""
run: {{url: {tiny_set.parent / "run"}, seed: 5}}
model: {{d_model: 16, n_layer: 2, l_max: 514, embed_dropout: 0.1, filter_order: 16}}
data: {{shards: [{tiny_set}], repeat_weight: 0.5}}
curriculum:
  - {{context_length: 256, until_tokens: 12288, micro_batch_size: 2}}
  - {{context_length: 512, until_tokens: 20480, micro_batch_size: 1}}
optim: {{learning_rate: 1e-2, warmup_fraction: 0.1, global_batch_tokens: 2048}}
parallel: {{workers: 1, zero_stage: 1, precision: fp32}}
checkpoint: {{every_steps: 2, keep_last: 10}}
evaluate: {{every_steps: 5, max_bases: 5000}}
""")
    return path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Ray cluster of this machine, for runs that join one: starting it takes seven seconds of processor time."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running

"""`ray job submit -- hdna train …` to a cluster with token authentication on, as the README shows it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hdna.run.files import read_json

RAY = str(Path(sys.executable).with_name("ray"))
START_TIMEOUT_S = 120


class Cluster(NamedTuple):
    """A running cluster, and the environment of one who may use it."""

    address: str
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A head node on loopback in a process group of its own: `ray stop` would end every Ray on the machine."""
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    dashboard = free_port()
    # Its files apart: Ray leaves the address of a killed head in /tmp/ray, where later runs would look for it.
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets in it: their paths must be short
    command = f"start --head --block --num-cpus=2 --port={free_port()} --dashboard-port={dashboard}"
    # A port of its own for the agent too: by default that of any other cluster on the machine, and no job is accepted.
    command += f" --temp-dir={temporary} --dashboard-agent-listen-port={free_port()}"
    with (tmp_path / "head.log").open("wb") as log:
        head = subprocess.Popen(
            [RAY, *command.split()], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_for(address, tmp_path / "head.log")
        yield Cluster(address, environment)
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(timeout=60)
        shutil.rmtree(temporary, ignore_errors=True)


def wait_for(address: str, log: Path) -> None:
    """Until the job server answers; without a token it answers 401."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/api/jobs/", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"no Ray job server at {address}: {log.read_text()[-2000:]}")


def submit(
    address: str, environment: dict[str, str], folder: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """`ray job submit` from a working directory.

    The head answers some seconds before its job agent has registered; until then it refuses every job.
    """
    command = [RAY, "job", "submit", "--address", address, "--working-dir", ".", "--", "hdna", "train"]
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        done = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if "No available agent to submit job" not in done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(1)


@pytest.mark.ray
def test_a_job_trains_on_the_cluster_it_was_submitted_to(cluster: Cluster, tiny_recipe: Path, tmp_path: Path) -> None:
    address, environment = cluster
    folder = tmp_path / "working-directory"
    folder.mkdir()
    (folder / "mine.yaml").write_text(tiny_recipe.read_text())
    run = tmp_path / "run"

    done = submit(address, environment, folder, "mine.yaml", f"run.url={run}", "parallel.workers=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_json(str(run), "state.json")["status"] == "done"

    relative = submit(address, environment, folder, "mine.yaml", "run.url=runs/lost")
    assert relative.returncode != 0
    assert "runs/lost: a relative path in a submitted job" in relative.stdout

    wrong = tmp_path / "wrong"
    wrong.write_text(secrets.token_hex(32))
    refused = submit(address, {**environment, "RAY_AUTH_TOKEN_PATH": str(wrong)}, folder, "mine.yaml")
    assert refused.returncode != 0
    assert "Invalid authentication token" in refused.stdout + refused.stderr

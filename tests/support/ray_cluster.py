"""A Ray cluster on this machine with token authentication on, as a user starts one: for runs that join it."""

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
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RAY = str(Path(sys.executable).with_name("ray"))
START_TIMEOUT_S = 300


class Cluster(NamedTuple):
    """A running cluster."""

    address: str
    """Of its head, as in RAY_ADDRESS."""
    job_server: str
    """URL."""
    authorized: dict[str, str]
    """The environment of one who may use it."""

    @property
    def joined(self) -> dict[str, str]:
        """The environment in which `hdna train` joins it instead of starting Ray."""
        return {**self.authorized, "RAY_ADDRESS": self.address}


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A head node on loopback in a process group of its own: `ray stop` would end every Ray on the machine."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    authorized = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    port, dashboard = _free_port(), _free_port()
    # Its files apart: Ray leaves the address of a killed head in /tmp/ray, where later runs would look for it.
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets in it: their paths must be short
    command = f"start --head --block --num-cpus=2 --port={port} --dashboard-port={dashboard}"
    # A port of its own for the agent too: by default that of any other cluster on the machine, and no job is accepted.
    command += f" --temp-dir={temporary} --dashboard-agent-listen-port={_free_port()}"
    log = folder / "head.log"
    with log.open("wb") as file:
        head = subprocess.Popen(
            [RAY, *command.split()], env=authorized, stdout=file, stderr=file, start_new_session=True
        )
    job_server = f"http://127.0.0.1:{dashboard}"
    try:
        _wait_for(job_server, log)
        yield Cluster(f"127.0.0.1:{port}", job_server, authorized)
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(timeout=60)
        shutil.rmtree(temporary, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(job_server: str, log: Path) -> None:
    """Until the job server answers; without a token it answers 401."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{job_server}/api/jobs/", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"no Ray job server at {job_server}: {log.read_text()[-2000:]}")

"""A cluster of two Ray nodes with network addresses of their own, in namespaces of this machine (root only)."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
HEAD, OTHER = "10.77.0.1", "10.77.0.2"
_PORT = 6379
_START_TIMEOUT_S = 900
_SEEN_S = 25
"""Ray Train looks every 20 s which nodes there are (AutoscalingCoordinator.TICK_INTERVAL_S)."""
_NODE_OF = """
import ray, sys
ray.init(logging_level="ERROR")
nodes = (node for node in ray.nodes() if node["Alive"])
print(next(node["NodeID"] for node in nodes if node["NodeManagerAddress"] == sys.argv[1]))
"""


def namespaces_possible() -> bool:
    """Whether this process may make network namespaces."""
    return shutil.which("ip") is not None and _ip("netns", "add", "hdna-probe") and _ip("netns", "del", "hdna-probe")


class TwoNodes:
    """The cluster; each node has one processor."""

    def __init__(self, folder: Path, names: dict[str, str], ends: dict[str, str]) -> None:
        """`names` of the namespaces and `ends` of the link, by address."""
        self._folder = folder
        self._names, self._ends = names, ends
        (folder / "token").write_text(secrets.token_hex(32))
        (folder / "token").chmod(0o600)
        self._environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5",  # of 5: the runs of tests are short
        }

    def start(self, address: str) -> None:
        """Start the node of that address, and wait until it is one."""
        role = f"--head --port={_PORT} --temp-dir={self._folder}" if address == HEAD else f"--address={HEAD}:{_PORT}"
        words = f"start --block --num-cpus=1 --node-ip-address={address} {role}".split()
        log = self._folder / f"{address}.log"
        with log.open("wb") as file:
            subprocess.Popen(
                self._within(address, "ray", *words), env=self._environment, stdout=file, stderr=file, process_group=0
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while b"Ray runtime started." not in log.read_bytes():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def kill(self, address: str) -> None:
        """End all processes of a node at once, as a machine that loses its power does."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self._names[address]], capture_output=True, text=True, check=True
        )
        for pid in map(int, listed.stdout.split()):
            os.kill(pid, signal.SIGKILL)

    def plug(self, address: str, state: str) -> None:
        """Take that node's end of the link `down`: packets are lost, and nobody is told; or `up` again."""
        assert _ip("-n", self._names[address], "link", "set", self._ends[address], state)

    def replace(self, address: str) -> None:
        """A new node of that address instead of the one there, whatever is left of it."""
        self.kill(address)
        self.plug(address, "up")
        self.start(address)

    def replace_until_seen(self, address: str) -> None:
        """The same, and wait until a run of as many workers as there are would count it."""
        self.replace(address)
        time.sleep(_SEEN_S)

    def announce_end(self, address: str) -> None:
        """Tell Ray that a node will be gone in a minute, as its machine's provider announces it."""
        node = self._run("python", "-c", _NODE_OF, address).split()[-1]
        words = "drain-node --reason DRAIN_NODE_REASON_PREEMPTION --reason-message test --deadline-remaining-seconds 60"
        self._run("ray", *words.split(), "--node-id", node)

    def driver(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """The command `hdna WORDS` on the head node, as a driver of the cluster, and its environment."""
        return self._within(HEAD, "hdna", *words), {**self._environment, "RAY_ADDRESS": f"{HEAD}:{_PORT}"}

    def _run(self, program: str, *words: str) -> str:
        """What a command on the head node prints."""
        command, environment = self._within(HEAD, program, *words), self.driver()[1]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _within(self, address: str, program: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self._names[address], str(PROGRAMS / program), *words]


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Two nodes joined by one link, the host's name resolving to loopback on both, as on Debian."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets in it: their paths must be short
    tag = secrets.token_hex(2)
    names = {HEAD: f"hdna-{tag}-0", OTHER: f"hdna-{tag}-1"}
    ends = {HEAD: f"h{tag}0", OTHER: f"h{tag}1"}
    cluster = TwoNodes(folder, names, ends)
    try:
        for name in names.values():
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", ends[HEAD], "type", "veth", "peer", "name", ends[OTHER])
        for address, name in names.items():
            _ip("link", "set", ends[address], "netns", name)
            _ip("-n", name, "address", "add", f"{address}/24", "dev", ends[address])
            _ip("-n", name, "link", "set", ends[address], "up")
        for address in names:
            cluster.start(address)
        yield cluster
    finally:
        for address, name in names.items():
            cluster.kill(address)
            _ip("netns", "del", name)
        shutil.rmtree(folder, ignore_errors=True)


def _ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0

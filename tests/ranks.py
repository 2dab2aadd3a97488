"""Real ranks for tests: processes joined by gloo on loopback, each running rank_worker.py."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[1]
RANK_WORKER = Path(__file__).parent / "rank_worker.py"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_ranks(world_size: int, task: str, **settings: object) -> list[subprocess.Popen[str]]:
    """Start the ranks and leave them to the caller."""
    port = free_port()
    command = [sys.executable, str(RANK_WORKER), task, json.dumps(settings, default=str)]
    return [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world_size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(world_size)
    ]

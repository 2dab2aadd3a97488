"""`ray job submit -- hdna train …` to a cluster with token authentication on, as the README shows it."""

import secrets
import subprocess
import time
from pathlib import Path

import pytest
from support.ray_cluster import RAY, START_TIMEOUT_S, Cluster

from hdna.run.files import read_json


def submit(
    cluster: Cluster, environment: dict[str, str], folder: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """`ray job submit` from a working directory.

    The head answers some seconds before its job agent has registered; until then it refuses every job.
    """
    command = [RAY, "job", "submit", "--address", cluster.job_server, "--working-dir", ".", "--", "hdna", "train"]
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        done = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if "No available agent to submit job" not in done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(1)


@pytest.mark.ray
def test_a_job_trains_on_the_cluster_it_was_submitted_to(cluster: Cluster, tiny_recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "working-directory"
    folder.mkdir()
    (folder / "mine.yaml").write_text(tiny_recipe.read_text())
    run = tmp_path / "run"

    done = submit(cluster, cluster.authorized, folder, "mine.yaml", f"run.url={run}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_json(str(run), "state.json")["status"] == "done"

    relative = submit(cluster, cluster.authorized, folder, "mine.yaml", "run.url=runs/lost")
    assert relative.returncode != 0
    assert "runs/lost: a relative path in a submitted job" in relative.stdout

    wrong = tmp_path / "wrong"
    wrong.write_text(secrets.token_hex(32))
    refused = submit(cluster, {**cluster.authorized, "RAY_AUTH_TOKEN_PATH": str(wrong)}, folder, "mine.yaml")
    assert refused.returncode != 0
    assert "Invalid authentication token" in refused.stdout + refused.stderr

"""The files in cluster/ and the pages about them agree: commands that exist, the project's versions, closed doors."""

import re
import shlex
from pathlib import Path

import pytest
from support.cluster_files import (
    CONSTRAINTS,
    FILES,
    PAGES,
    ROOT,
    STARTING_RAY,
    check_hdna,
    check_ray,
    commands,
    load,
    shown,
)

import hdna


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.name)
def test_versions_are_those_of_the_project(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"hdna:(\d[\w.]*)-(?:cpu|cuda)", text)) <= {hdna.__version__}
    assert set(re.findall(r"hdna-(\d[\w.]*)-py3", text)) <= {hdna.__version__}
    assert set(re.findall(r"rayVersion: (\S+)", text)) <= {CONSTRAINTS["ray"]}


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.name)
def test_nothing_is_open_to_the_world(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"0\.0\.0\.0|::/0|LoadBalancer|NodePort|enableIngress|dashboard-host", text)


@pytest.mark.parametrize("path", STARTING_RAY, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_ray_demands_a_token(path: Path) -> None:
    if path.parent.name == "kuberay":
        spec = load(path)["spec"]
        options = spec.get("rayClusterSpec", spec)["authOptions"]
        assert options == {"mode": "token", "secretName": "hdna-ray-token"}
    elif path.parent.name == "ray":
        config = load(path)
        starts = [line for kind in ("head", "worker") for line in config[f"{kind}_start_ray_commands"]]
        assert all("RAY_AUTH_MODE=token ray start" in line for line in starts if "ray start" in line)
    elif path.suffix == ".yaml":
        assert load(path)["envs"]["RAY_AUTH_MODE"] == "token"
    else:
        assert "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*PAGES, *STARTING_RAY], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_commands_shown_exist_with_their_options_recipes_and_keys(path: Path) -> None:
    for program, check in (("hdna", check_hdna), ("ray", check_ray)):
        for arguments in commands(program, shown(path)):
            try:
                check(arguments)
            except Exception as error:
                pytest.fail(f"{path.name}: {program} {shlex.join(arguments)}: {error!r}")


def test_commands_are_found_and_wrong_ones_are_refused() -> None:
    found = {
        (program, arguments[0])
        for program in ("hdna", "ray")
        for path in PAGES
        for arguments in commands(program, shown(path))
    }
    assert {("hdna", "train"), ("hdna", "prep"), ("ray", "up"), ("ray", "job"), ("ray", "exec")} <= found
    started = {arguments[0] for path in STARTING_RAY for arguments in commands("ray", shown(path))}
    assert {"start", "stop", "symmetric-run", "health-check"} <= started
    for wrong in ("train small_33k", "train small_32k parallel.worker=8", "plan small_32k --device-count 8"):
        with pytest.raises(Exception, match=r"small_33k|parallel\.worker|No such option"):
            check_hdna(wrong.split())
    for wrong in (
        "symmetric-run --address a:1 --cpus 2 -- true",
        "exec a.yaml 'ray stat'",
        "job submit --adress a -- b",
    ):
        with pytest.raises(Exception, match=r"No such option|stat"):
            check_ray(shlex.split(wrong))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_link_to_pages_and_name_files_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert all((path.parent / target).exists() for target in targets)
    assert all((ROOT / name).exists() for name in re.findall(r"\bcluster/[\w./]+\w", text))


def test_every_file_is_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    unnamed = [path.name for path in FILES if path.relative_to(ROOT).as_posix() not in text]
    assert unnamed == ["Dockerfile.dockerignore"]  # found by the builder beside the Dockerfile

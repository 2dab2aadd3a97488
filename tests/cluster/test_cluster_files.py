"""The files in cluster/ are valid where they go, and give nobody more rights than they need."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from support.cluster_files import CLUSTER, CONSTRAINTS, PAGES, ROOT, commands, documents, load, shown

SCHEMAS = ROOT.parent / "shared" / "schemas"
SBATCH = CLUSTER / "slurm" / "train.sbatch"


def strict(schema: Any) -> Any:  # noqa: ANN401 - a tree of JSON
    """A custom resource's schema as the API server takes it: unknown keys are errors, 8 and "8" are both quantities."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def pod_specs(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - a tree of YAML
    """Every pod in a resource."""
    if isinstance(tree, list):
        for item in tree:
            yield from pod_specs(item)
    elif isinstance(tree, dict):
        if "containers" in tree:
            yield tree
        for item in tree.values():
            yield from pod_specs(item)


@pytest.mark.parametrize("name", ["raycluster", "rayjob"])
def test_kuberay_files_fit_the_published_schemas(name: str) -> None:
    published = SCHEMAS / f"ray.io_{name}s.yaml"
    if not published.exists():
        pytest.skip(f"{published} is absent: KubeRay's schema, published with its releases")
    versions = {
        version["name"]: version["schema"]["openAPIV3Schema"] for version in load(published)["spec"]["versions"]
    }
    resource = load(CLUSTER / "kuberay" / f"{name}.yaml")
    validator = Draft7Validator(strict(versions["v1"]))
    assert resource["apiVersion"] == "ray.io/v1"
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)] == []

    resource["spec"]["submissionmode"] = "K8sJobMode"
    assert list(validator.iter_errors(resource)), "a misspelt key passes"


def test_the_cluster_of_a_rayjob_is_that_of_raycluster_yaml() -> None:
    job, cluster = (load(CLUSTER / "kuberay" / f"{name}.yaml")["spec"] for name in ("rayjob", "raycluster"))
    assert job["rayClusterSpec"] == cluster
    assert job["submissionMode"] == "K8sJobMode" and job["backoffLimit"] > 0 and job["shutdownAfterJobFinishes"]
    (run,) = commands("hdna", job["entrypoint"])
    group = cluster["workerGroupSpecs"][0]
    assert f"parallel.min_workers={group['minReplicas']}" in run
    assert f"parallel.workers={group['maxReplicas']}" in run


def test_pods_have_no_privileges() -> None:
    pods = [pod for path in (CLUSTER / "kuberay").iterdir() for tree in documents(path) for pod in pod_specs(tree)]
    assert len(pods) == 5
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_a_head_is_neither_on_a_spot_node_nor_moved() -> None:
    cluster = load(CLUSTER / "kuberay" / "raycluster.yaml")["spec"]
    head, workers = cluster["headGroupSpec"]["template"], cluster["workerGroupSpecs"][0]["template"]
    assert "tolerations" not in head["spec"] and workers["spec"]["tolerations"] and workers["spec"]["nodeSelector"]
    account, budget = documents(CLUSTER / "kuberay" / "support.yaml")
    assert account["metadata"]["name"] == head["spec"]["serviceAccountName"] == workers["spec"]["serviceAccountName"]
    # `ray.io/node-type` is KubeRay's own label.
    assert budget["spec"]["selector"]["matchLabels"] == {**head["metadata"]["labels"], "ray.io/node-type": "head"}
    assert budget["spec"]["minAvailable"] == 1


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_launcher_files_are_valid_for_ray(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(load(CLUSTER / "ray" / f"{name}.yaml"))
    validate_config(config)
    types = config["available_node_types"]
    assert (types["gpu_spot"]["min_workers"], types["gpu_spot"]["max_workers"]) == (2, 8)
    spot = [key for key, kind in types.items() if re.search("spot", json.dumps(kind["node_config"]), re.IGNORECASE)]
    assert spot == ["gpu_spot"]
    region = re.findall(r"AWS_REGION=(\S+)", json.dumps(config))
    assert region == ([config["provider"]["region"]] * 2 if name == "aws" else [])
    identities = [
        kind["node_config"].get("IamInstanceProfile") or kind["node_config"]["serviceAccounts"][0]["email"]
        for kind in types.values()
    ]
    assert ["hdna-head" in str(identity) for identity in identities] == [True, False]
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"


def test_ray_rents_from_aws_with_the_group_and_the_roles_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that Ray would make itself are open to the world on port 22, and may do anything to EC2 and S3."""
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.util import prepare_config

    (tmp_path / ".ssh").mkdir()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("HOME", str(tmp_path))  # for the key pair
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # else that of an earlier test, with its server
    config = prepare_config(load(CLUSTER / "ray" / "aws.yaml"))
    with mock_aws():
        ec2 = boto3.client("ec2", region_name=config["provider"]["region"])
        network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = ec2.create_security_group(GroupName="hdna", Description="hdna", VpcId=network)["GroupId"]
        for kind in config["available_node_types"].values():
            kind["node_config"]["SecurityGroupIds"] = [group]
        nodes = [kind["node_config"] for kind in bootstrap_aws(config)["available_node_types"].values()]
        groups = {made["GroupName"] for made in ec2.describe_security_groups()["SecurityGroups"]}
        roles = boto3.client("iam").list_roles()["Roles"]
    assert [node["SecurityGroupIds"] for node in nodes] == [[group], [group]]
    assert [node["IamInstanceProfile"] for node in nodes] == [{"Name": "hdna-head"}, {"Name": "hdna-worker"}]
    assert groups == {"default", "hdna"} and not roles


def test_the_skypilot_file_is_a_managed_job_on_spot_machines() -> None:
    task = load(CLUSTER / "sky" / "train.yaml")
    assert task.keys() == {"name", "num_nodes", "resources", "envs", "secrets", "workdir", "setup", "run"}
    assert task["resources"]["use_spot"] is True and task["num_nodes"] > 1
    assert task["resources"]["job_recovery"] == {"max_restarts_on_errors": 3}
    assert task["secrets"] == {"RAY_AUTH_TOKEN": None}
    for part in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[part], text=True, check=True)


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job whose srun runs one task here; `ray` and `hdna` write down how they were called."""
    stubs = {
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "scontrol": 'echo "$*" > scontrol',
        "ray": 'stat -c "%a $RAY_AUTH_MODE" "$RAY_AUTH_TOKEN_PATH" > token; printf "%s\\n" "$@" > ray; '
        'while [[ $1 != -- ]]; do shift; done; shift; exec "$@"',
        "hdna": 'printf "%s\\n" "$RAY_ADDRESS" "$@" > hdna; exec sleep ${PAUSE:-0}',
    }
    for name, body in stubs.items():
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f"#!/bin/bash\n{body}\n")
        stub.chmod(0o700)
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "64"}
    return {**os.environ, **job, "PATH": path, "HOME": str(tmp_path)}


def test_the_slurm_job_starts_ray_with_a_private_token_and_hands_on_its_arguments(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["small_32k", "data.shards=[/with space/shards]", "run.url=/run"]
    subprocess.run(["bash", SBATCH, *arguments], env=slurm, cwd=tmp_path, check=True, timeout=60)
    address, *called = (tmp_path / "hdna").read_text().splitlines()
    assert called == ["train", *arguments]
    start = (tmp_path / "ray").read_text().splitlines()
    assert start[: start.index("--")] == shlex.split(f"symmetric-run --address {address} --min-nodes 2 --num-cpus 64")
    assert (tmp_path / "token").read_text() == "600 token\n"
    assert not list((tmp_path / ".ray").iterdir()), "the token outlives the job"


def test_the_slurm_job_queues_itself_again_before_its_time_is_up(slurm: dict[str, str], tmp_path: Path) -> None:
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:USR1@120"} <= set(SBATCH.read_text().splitlines())
    job = subprocess.Popen(
        ["bash", SBATCH, "small_32k"], env={**slurm, "PAUSE": "60"}, cwd=tmp_path, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "hdna").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        job.send_signal(signal.SIGUSR1)
        job.wait(timeout=30)
        assert (tmp_path / "scontrol").read_text() == "requeue 7\n"
    finally:
        os.killpg(job.pid, signal.SIGKILL)


def test_the_image_has_the_constraints_torch_and_an_ordinary_user() -> None:
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    for target in ("cpu", "cuda"):
        assert re.findall(r"^(?:FROM|USER|RUN|COPY) .*", stages[target], re.MULTILINE)[-1] == "USER 1000"
    installs = re.findall(r"pip install(?:.*\\\n)*.*", text)
    assert installs and all("--constraint /constraints.txt" in install for install in installs)
    # Apex is compiled by the CUDA of torch's wheel: a new torch needs a look at this comment and the line below it.
    assert f"# torch {CONSTRAINTS['torch']} from PyPI is built with CUDA 13.0;" in text
    assert re.search(r"^ARG CUDA=13\.0\.\d+$", text, re.MULTILINE)
    assert re.search(r"^ARG APEX_COMMIT=[0-9a-f]{40}$", text, re.MULTILINE)
    builds = [line for page in PAGES for line in shown(page).splitlines() if line.startswith("docker build")]
    assert builds and all(re.search(r"--target (cpu|cuda) -t \S+-\1 \.$", line) for line in builds)


def test_the_builder_gets_what_the_wheel_is_made_of() -> None:
    ignore = (CLUSTER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore and all((ROOT / name).exists() for name in sent)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'^packages = \[(.*)\]|^"(\w+)" = "hdna/|^readme = "(.*)"', project, re.MULTILINE)
    names = [name for match in wanted for name in re.findall(r"[\w./]+", " ".join(match))]
    assert {name for name in names if not any(name.startswith(folder) for folder in sent)} == set()


def test_policies_have_the_rights_that_the_page_gives_reasons_for_and_no_others() -> None:
    table = (ROOT / "docs" / "clusters" / "index.md").read_text(encoding="utf-8").partition("## Rights in")[2]
    listing, objects = load(CLUSTER / "policies" / "s3.json")["Statement"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "hdna/*"}}
    assert objects["Resource"] == "arn:aws:s3:::BUCKET/hdna/*"
    actions = {action.removeprefix("s3:") for action in [listing["Action"], *objects["Action"]]}
    assert actions == {"ListBucket", "GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload"}
    assert all(f"`{action}`" in table for action in actions)

    permissions = load(CLUSTER / "policies" / "gcs_role.yaml")["includedPermissions"]
    assert {name.removeprefix("storage.") for name in permissions} == {
        *(f"objects.{right}" for right in ("list", "get", "create", "delete")),
        *(f"multipartUploads.{right}" for right in ("create", "abort")),
    }
    condition = load(CLUSTER / "policies" / "gcs_condition.yaml")["expression"]
    assert '/objects/hdna/"' in condition and 'startsWith("hdna/")' in condition

    head = load(CLUSTER / "policies" / "ec2_head.json")["Statement"]
    assert not [statement for statement in head if "*" in json.dumps(statement["Action"])]

"""A bucket whose server or proxy ignores If-None-Match would let two writers win: nobody may claim anything there."""

from pathlib import Path

import pytest
from support.faulty_proxy import FaultyProxy
from typer.testing import CliRunner

from hdna import storage
from hdna.cli import app
from hdna.config import load_recipe
from hdna.errors import InputError
from hdna.genome.shard_set import FORMAT
from hdna.run import ownership
from hdna.run.lease import Lease, last_lease
from hdna.storage.manifest import describe_folder
from hdna.storage.staging import publish
from hdna_cluster.doctor import Finding, examine
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome

REFUSED = "this store ignores If-None-Match, so two writers could replace each other's files unnoticed: use one that"


@pytest.fixture
def careless(proxy: FaultyProxy, bucket: str) -> str:
    """The bucket, on a server that ignores the condition."""
    proxy.ignores_conditions = True
    return bucket


def test_without_the_condition_both_of_two_writers_are_told_that_they_were_first(careless: str) -> None:
    """The fault itself: what follows would be right for no other reason."""
    assert storage.write_if_absent(f"{careless}/claim", b"first")
    assert storage.write_if_absent(f"{careless}/claim", b"second")
    assert storage.read(f"{careless}/claim") == b"second"


def test_the_trial_tells_such_a_store_from_a_healthy_one_and_leaves_nothing(bucket: str, proxy: FaultyProxy) -> None:
    storage.require_conditional_put(bucket)
    proxy.ignores_conditions = True
    with pytest.raises(InputError, match=f"^{bucket}: {REFUSED}") as caught:
        storage.require_conditional_put(bucket)
    assert "\n" not in str(caught.value)
    assert storage.list_objects(bucket) == {}


@pytest.mark.parametrize("fault", ["503", "lost"])
def test_a_network_with_faults_is_not_taken_for_a_careless_store(fault: str, bucket: str, proxy: FaultyProxy) -> None:
    """An answer that was lost makes a writer repeat itself, and find its own object there."""
    for planned in ([fault], ["", fault], [fault, "", fault]):
        for one in planned:
            proxy.plan("PUT", one)
        storage.require_conditional_put(bucket)
        proxy.forget()
    assert storage.list_objects(bucket) == {}


def test_a_folder_needs_no_trial_and_gets_no_file(tmp_path: Path) -> None:
    storage.require_conditional_put(str(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_no_set_is_published_there(careless: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(InputError, match=f"^{careless}: {REFUSED}"):
        publish(tmp_path, careless, FORMAT, {}, describe_folder(tmp_path))
    assert storage.list_objects(careless) == {}


@pytest.mark.parametrize("command", ["genome", "shards"])
def test_prep_says_so_in_one_line_and_leaves_nothing(command: str, careless: str, tmp_path: Path) -> None:
    write_genome(tmp_path / "g.fa", 20_000, seed=1)
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    given = tmp_path / ("g.fa" if command == "genome" else "g.zarr")
    result = CliRunner().invoke(app, ["prep", command, str(given), "--out", f"{careless}/out"])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(f"{careless}/out: {REFUSED}") and "\n" not in str(result.exception)
    assert storage.list_objects(careless) == {}


def test_no_run_is_started_there(careless: str, proxy: FaultyProxy, tiny_recipe: Path) -> None:
    config = load_recipe(str(tiny_recipe), [f"run.url={careless}/run"])
    with pytest.raises(InputError, match=f"^{careless}/run: {REFUSED}"):
        last_lease(config.run.url, print)
    assert storage.list_objects(careless) == {}
    proxy.ignores_conditions = False
    Lease(config.run.url, last_lease(config.run.url, print))
    ownership.claim(config)
    assert set(storage.list_objects(f"{careless}/run")) == {"lease/000001.json", "recipe.yaml"}


def test_what_a_killed_trial_leaves_does_not_make_a_run_url_taken(
    bucket: str, proxy: FaultyProxy, tiny_recipe: Path
) -> None:
    config = load_recipe(str(tiny_recipe), [f"run.url={bucket}/run"])
    proxy.plan("POST", "503", 100)  # S3 deletes by POST
    with pytest.raises(InputError, match="several attempts"):
        last_lease(config.run.url, print)
    proxy.forget()
    assert len(storage.list_objects(f"{bucket}/run")) == 1
    ownership.refuse_taken(config)
    storage.write(f"{bucket}/run/notes.txt", b"mine")
    with pytest.raises(InputError, match="contains files that are not an hdna run"):
        ownership.refuse_taken(config)


def place_findings(url: str) -> list[Finding]:
    return [found for found in examine(url) if found.what.startswith(url)]


def test_the_doctor_finds_it(bucket: str, proxy: FaultyProxy) -> None:
    healthy = place_findings(bucket)
    assert [(found.ok, found.what) for found in healthy] == [
        (True, f"{bucket}: {trial} works") for trial in ("write", "read back", "conditional put", "delete")
    ]
    proxy.ignores_conditions = True
    *fine, fault = place_findings(bucket)
    assert all(found.ok for found in fine) and not fault.ok
    assert fault.what == (
        f"{bucket}: conditional put failed: overwrites an existing object: "
        f"checkpoints need a store with conditional create"
    )
    assert fault.fix == "use a store that does what it says, or take out the proxy before it"
    assert storage.list_objects(bucket) == {}

"""The doctor: each finding says what there is, faults stand out, and no secret is shown."""

import os
import resource
import shutil
import sys
from pathlib import Path

import pytest

from hdna import storage
from hdna.errors import InputError
from hdna_cluster import doctor
from hdna_cluster.doctor import Finding, examine

SECRET = "s3cr3t-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and an environment without Ray's settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def finding(start: str, url: str | None = None) -> Finding:
    """The one finding that begins with `start`."""
    (found,) = [f for f in examine(url) if f.what.startswith(start)]
    assert SECRET not in found.what + found.fix and "\n" not in found.what + found.fix
    return found


def write_token(path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SECRET)
    path.chmod(mode)


def test_every_part_a_run_needs_is_examined() -> None:
    found = list(examine(None))
    told = " | ".join(f.what for f in found)
    for part in ("Python 3", "torch 2", "DeepSpeed 0", "Apex", "Ray 2", "Ray token", "disk", "memory", "open files"):
        assert part in told


def test_absent_options_are_no_fault() -> None:
    assert finding("NVIDIA Apex is not installed").ok
    assert finding("Ray token: none yet") == Finding(
        True, "Ray token: none yet", "for a cluster: ray get-auth-token --generate"
    )


def test_private_token_is_fine_and_hints_at_the_mode(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_token(home / ".ray" / "auth_token", 0o600)
    found = finding("Ray token")
    assert found.ok and "RAY_AUTH_MODE=token" in found.fix
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert finding("Ray token").fix == ""
    assert "RAY_AUTH_MODE=token" in finding("Ray 2").what


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_token_that_others_may_read_is_a_fault(home: Path, mode: int) -> None:
    token = home / ".ray" / "auth_token"
    write_token(token, mode)
    found = finding("Ray token")
    assert not found.ok and found.fix == f"chmod 600 {token}" and f"{mode:04o}" in found.what


def test_token_in_the_environment_comes_before_one_in_a_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "token"))
    assert not finding("Ray token").ok
    write_token(home / "token", 0o600)
    assert finding("Ray token").what == f"Ray token: {home / 'token'}, private"
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    assert finding("Ray token") == Finding(True, "Ray token: in RAY_AUTH_TOKEN")


def test_unrelated_apex_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apex").mkdir()
    (tmp_path / "apex" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found = finding("the installed `apex` is PyPI's unrelated project")
    assert found.ok and found.fix == "pip uninstall apex"
    sys.modules.pop("apex", None)


def test_scarce_disk_memory_files_and_python_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(total=64 << 20, free=1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(doctor, "_available_memory", lambda meminfo: 1 << 30)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(sys, "version_info", (*doctor.PYTHONS[1], 0))
    assert finding("disk") == Finding(
        False, "disk: 1.0 GiB free here, want 5", "free some space, or run where there is more"
    )
    assert not finding("memory").ok
    assert "--shm-size" in finding("/dev/shm").fix
    assert "ulimit -n 1024" in finding("open files").fix
    assert not finding("Python").ok


def test_available_memory_is_read_from_meminfo(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert doctor._available_memory(tmp_path / "meminfo") == 2 << 20
    assert doctor._available_memory(tmp_path / "none") is None


def place_findings(url: str) -> list[Finding]:
    return [f for f in examine(url) if f.what.startswith(url.partition("?")[0])]


def test_good_place_passes_every_trial_and_is_left_as_it_was(tmp_path: Path) -> None:
    url = tmp_path / "bucket"
    (url / "an empty folder").mkdir(parents=True)
    found = place_findings(str(url))
    assert [(f.ok, f.what) for f in found] == [
        (True, f"{url}: {trial} works") for trial in ("write", "read back", "conditional put", "delete")
    ]
    assert [path.name for path in url.rglob("*")] == ["an empty folder"]


def test_place_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = place_findings(str(tmp_path / "file" / "below"))
    assert not found.ok and "write failed" in found.what and found.fix


def test_unsupported_scheme_is_a_finding() -> None:
    (found,) = place_findings("http://somewhere")
    assert not found.ok and "scheme 'http' is not supported" in found.what


def test_store_that_overwrites_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that ignores the condition, as some S3 imitations do."""

    def careless(url: str, data: bytes) -> bool:
        storage.write(url, data)
        return True

    monkeypatch.setattr(storage, "write_if_absent", careless)
    found = place_findings(str(tmp_path / "bucket"))
    assert [f.ok for f in found] == [True, True, False]
    assert "overwrites an existing object" in found[-1].what
    assert not list((tmp_path / "bucket").rglob("object"))


def test_place_that_returns_other_bytes_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "read", lambda url: b"other")
    assert "returned other bytes" in place_findings(str(tmp_path / "bucket"))[-1].what


def test_messages_of_a_store_are_reported_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    def refuse(url: str, data: bytes) -> bool:
        raise InputError(f"{url}: denied at https://user:hunter2@host/x?sv=1&sig=hunter2 with {SECRET}")

    monkeypatch.setattr(storage, "write_if_absent", refuse)
    (found,) = place_findings(str(tmp_path))
    assert "denied at" in found.what
    assert SECRET not in found.what and "hunter2" not in found.what
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET

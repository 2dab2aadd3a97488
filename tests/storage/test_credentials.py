"""Where credentials come from: the environment or an AWS profile, never settings of ours."""

from pathlib import Path

import pytest

from hdna import storage
from hdna.errors import InputError
from hdna.storage.aws_profile import profile_settings

KEYS = "aws_access_key_id = test:tester\naws_secret_access_key = testing\n"


def test_keys_of_the_default_profile_are_used(home: Path, bucket: str) -> None:
    (home / ".aws" / "credentials").write_text(f"[default]\n{KEYS}")
    storage.write(f"{bucket}/x", b"1")
    assert storage.read(f"{bucket}/x") == b"1"


def test_a_named_profile_brings_its_keys_and_endpoint(
    home: Path, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".aws" / "credentials").write_text(f"[default]\naws_access_key_id = no\n[lab]\n{KEYS}")
    (home / ".aws" / "config").write_text(f"[profile lab]\nregion = us-east-1\nendpoint_url = {server}\n")
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "lab")
    storage.write(f"{bucket}/x", b"1")
    assert storage.read(f"{bucket}/x") == b"1"


def test_renewed_keys_are_found_by_a_new_store_and_files_elsewhere_too(
    home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "keys").write_text("[default]\naws_access_key_id = test:tester\naws_secret_access_key = old%(x)s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "keys"))
    with pytest.raises(InputError, match="refuses the secret key"):
        storage.read(f"{bucket}/x")
    (home / "keys").write_text(f"[default]\n{KEYS}")
    monkeypatch.setenv("AWS_PROFILE", "default")
    storage.write(f"{bucket}/x", b"1")


def test_the_environment_comes_before_a_profile(home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = no\naws_secret_access_key = no\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test:tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    storage.write(f"{bucket}/x", b"1")


def test_missing_credentials_are_reported_with_the_places_searched(home: Path, bucket: str) -> None:
    with pytest.raises(InputError, match=f"{bucket}/x: no credentials found: credentials are looked for in AWS_ACCESS"):
        storage.read(f"{bucket}/x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]\n", "AWS_PROFILE=lab: there is no such profile"),
        (
            "[profile lab]\nregion = x\n",
            "AWS_PROFILE=lab: this profile contains no keys.*credentials --profile lab --format env",
        ),
        ("secret-line-without-section\n", "config: cannot be read as AWS settings"),
    ],
)
def test_an_unusable_profile_is_reported_with_its_reason(
    text: str, message: str, home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".aws" / "config").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "lab")
    with pytest.raises(InputError, match=message) as caught:
        storage.read(f"{bucket}/x")
    assert "secret-line" not in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_a_role_named_in_the_environment_comes_before_profile_keys(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".aws" / "credentials").write_text(f"[default]\nregion = x\n{KEYS}")
    assert profile_settings()["aws_access_key_id"] == "test:tester"
    monkeypatch.setenv(variable, "somewhere")
    assert profile_settings() == {"region": "x"}

"""AWS profiles, from ~/.aws/credentials and ~/.aws/config: the object-store library reads neither."""

import configparser
import os
from pathlib import Path

from hdna.errors import InputError

_ELSEWHERE = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
"""Each of these is another source, which the library reads itself."""
_SOURCES = (
    "aws_access_key_id",
    "sso_session",
    "sso_start_url",
    "role_arn",
    "web_identity_token_file",
    "credential_process",
)
"""What a profile has credentials from; all but the first with boto3 (`hdna.storage.aws_session`)."""


def profile_name() -> str:
    """The profile that AWS_PROFILE names, or else `default`."""
    return _requested() or "default"


def profile_settings() -> dict[str, str]:
    """Settings of that profile, named as in the files; {} if there is none.

    Those that lead to credentials are left out when the environment names another source, following AWS's own order.

    Raises InputError when the requested profile is missing, cannot be read, or leads to no credentials.
    """
    settings = _read(profile_name())
    if _is_elsewhere(settings):
        return {key: value for key, value in settings.items() if not key.startswith("aws_") and key not in _SOURCES}
    requested = _requested()
    if requested and not settings:
        raise InputError(
            f"AWS_PROFILE={requested}: there is no such profile in {_file_path('AWS_CONFIG_FILE', 'config').parent}"
        )
    if requested and not set(_SOURCES) & set(settings):
        raise InputError(
            f"AWS_PROFILE={requested}: this profile contains no keys, nor a way to them that hdna knows: put keys into "
            f"the environment with 'eval \"$(aws configure export-credentials --profile {requested} --format env)\"'"
        )
    return settings


def needs_boto3(settings: dict[str, str]) -> bool:
    """Whether a profile has no keys, but single sign-on, a role or a command that provides them."""
    return "aws_access_key_id" not in settings and bool(set(_SOURCES) & set(settings))


def source_profiles(name: str) -> dict[str, dict[str, str]]:
    """The settings of a profile, of its source_profile, of that one's, and so on, by name."""
    found: dict[str, dict[str, str]] = {}
    while name and name not in found:
        found[name] = _read(name)
        name = found[name].get("source_profile", "")
    return found


def _requested() -> str:
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or ""


def _is_elsewhere(settings: dict[str, str]) -> bool:
    """A container's role may be the source of a profile's own role."""
    variables = _ELSEWHERE if "credential_source" in settings else (*_ELSEWHERE, *_CONTAINER)
    return any(os.environ.get(variable) for variable in variables)


def _read(name: str) -> dict[str, str]:
    config = _section("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}")
    return {**config, **_section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name)}


def _file_path(variable: str, name: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / ".aws" / name).expanduser()


def _section(variable: str, file_name: str, section: str) -> dict[str, str]:
    path = _file_path(variable, file_name)
    # A section named DEFAULT would otherwise apply to all others; values may contain % signs.
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, configparser.Error):
        # The error's own text may quote a line of the file, and with it a secret.
        raise InputError(f"{path}: cannot be read as AWS settings: fix or remove it") from None
    return dict(parser[section]) if parser.has_section(section) else {}

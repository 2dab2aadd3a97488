"""The keys of an AWS profile, from ~/.aws/credentials and ~/.aws/config: the object-store library reads neither."""

import configparser
import os
from pathlib import Path

from hdna.errors import InputError

_ELSEWHERE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Each of these is another source, which the library reads itself."""


def profile_settings() -> dict[str, str]:
    """Settings of the profile AWS_PROFILE (`default` if unset), named as in the files; {} if there is none.

    `aws_access_key_id`, `aws_secret_access_key` and `aws_session_token` are left out when the environment names another
    source of credentials, following AWS's own order.

    Raises InputError when the requested profile is missing, cannot be read, or needs more than keys (single sign-on, an
    assumed role, a command).
    """
    requested = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    name = requested or "default"
    config = _section("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}")
    settings = {**config, **_section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name)}
    if any(os.environ.get(variable) for variable in _ELSEWHERE):
        return {key: value for key, value in settings.items() if not key.startswith("aws_")}
    if requested and not settings:
        raise InputError(
            f"AWS_PROFILE={requested}: there is no such profile in {_file_path('AWS_CONFIG_FILE', 'config').parent}"
        )
    if requested and "aws_access_key_id" not in settings:
        raise InputError(
            f"AWS_PROFILE={requested}: this profile contains no keys (single sign-on, a role or a command provides "
            f"them): put them into the environment with 'eval \"$(aws configure export-credentials --format env)\"'"
        )
    return settings


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

"""Keys of AWS profiles with single sign-on, a role or a command: boto3 gets them, and renews them before they expire.

boto3 is optional (`hdna[aws]`): only a store of such a profile imports this module.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InfiniteLoopConfigError,
    InvalidConfigError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from obstore.auth.boto3 import Boto3CredentialProvider

from hdna.errors import InputError
from hdna.storage.aws_profile import source_profiles

if TYPE_CHECKING:
    from obstore.store import S3Credential

_MINUTES = 10
"""Keys are asked for again before so long. botocore returns none that expire sooner, if it can get others."""

# It would log a failed renewal with its traceback, and that quotes what a command has printed.
logging.getLogger("botocore").setLevel(logging.CRITICAL)


@lru_cache(maxsize=8)
def session_keys(profile: str, region: str, environment: tuple[tuple[str, str], ...]) -> Callable[[], "S3Credential"]:
    """What returns the present keys of `profile`; all stores of one environment share it.

    `environment` is what boto3 reads itself.
    """
    return _SessionKeys(profile, region)


class _SessionKeys:
    """Raises InputError, at first and in a call, when there are none (any longer)."""

    def __init__(self, profile: str, region: str) -> None:
        if any("mfa_serial" in settings for settings in source_profiles(profile).values()):
            raise InputError(
                f"AWS profile {profile!r}: its role wants an MFA code at each renewal, which a run cannot give: remove "
                f"mfa_serial, or put keys into the environment with 'eval \"$(aws configure export-credentials "
                f"--profile {profile} --format env)\"'"
            )
        self._profile = profile
        self._latest: S3Credential | None = None
        try:
            session = boto3.Session(profile_name=profile, region_name=region)
            self._provider = Boto3CredentialProvider(session)
        except Exception as error:  # whatever a command prints, or a file contains
            raise _one_line(profile, error) from None

    def __call__(self) -> "S3Credential":
        """Keys that still work outlive a renewal that fails: it is tried again."""
        try:
            self._latest = self._provider()
        except Exception as error:
            if self._latest is None or not self._minutes_left():
                raise _one_line(self._profile, error) from None
        return {**self._latest, "expires_at": datetime.now(UTC) + timedelta(minutes=self._minutes_left())}

    def _minutes_left(self) -> int:
        """Whole minutes, at most _MINUTES: the provider itself promises half an hour, whatever is left."""
        credentials = self._provider.credentials
        if not isinstance(credentials, RefreshableCredentials):  # they do not expire
            return _MINUTES
        return next((left for left in range(_MINUTES, 0, -1) if not credentials.refresh_needed(left * 60)), 0)


def _one_line(profile: str, error: Exception) -> InputError:
    """Most errors are not quoted: they contain what a command or a server has said."""
    return InputError(f"AWS profile {profile!r}: {_cause(profile, error)}")


def _cause(profile: str, error: Exception) -> str:
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"nobody is signed in, or no longer: run 'aws sso login --profile {_sso_profile(profile)}'"
    if isinstance(error, InvalidConfigError | PartialCredentialsError | InfiniteLoopConfigError):
        return f"{error}: correct it in ~/.aws/config"
    ask = f"'aws sts get-caller-identity --profile {profile}' says more"
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        return f"AWS refuses {error.operation_name} ({code}): correct the profile, or ask for that right; {ask}"
    has_command = any("credential_process" in settings for settings in source_profiles(profile).values())
    if has_command and (isinstance(error, CredentialRetrievalError) or not isinstance(error, BotoCoreError)):
        return "its credential_process gives no valid keys: run that command yourself to see why"
    return f"no keys ({type(error).__name__}): {ask}"


def _sso_profile(profile: str) -> str:
    """The one of its sources to sign in with."""
    sources = source_profiles(profile).items()
    return next((name for name, settings in sources if any(key.startswith("sso_") for key in settings)), profile)

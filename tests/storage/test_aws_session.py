"""AWS profiles whose keys boto3 gets, by a command, single sign-on or a role: renewed in time, one line on failure."""

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from math import inf
from pathlib import Path

import boto3
import pytest
from support.s3 import KEY, SECRET, moto_bucket

from hdna import storage
from hdna.errors import InputError
from hdna.run.lease import Lease, last_lease
from hdna.storage.aws_profile import profile_settings

HIDDEN = "no-line-may-say-this"
WITHOUT_BOTO3 = """
import sys
sys.modules["boto3"] = None
from hdna import storage
from hdna.errors import InputError
try:
    storage.write(sys.argv[1], b"1")
    print(storage.read(sys.argv[1]))
except InputError as error:
    print(error)
"""


def after(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def described(home: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `text` the configuration, and `lab` the profile."""
    (home / ".aws" / "config").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "lab")


def line_of(url: str) -> str:
    """What a user reads."""
    with pytest.raises(InputError) as caught:
        storage.read(url)
    line = str(caught.value)
    assert "\n" not in line and HIDDEN not in line
    return line


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A profile whose command prints what was last given to this function."""

    def prints(text: str) -> None:
        (home / "answer").write_text(text)
        time.sleep(0.15)  # the library asks for keys at most every 0.1 s

    described(home, f"[profile lab]\ncredential_process = {shutil.which('cat')} {home}/answer\n", monkeypatch)
    return prints


def keys(secret: str = SECRET, /, **left: float) -> str:
    """A command's answer; keys without an end if no time is left out."""
    answer = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": secret}
    return json.dumps(answer | ({"Expiration": after(**left)} if left else {}))


@pytest.mark.parametrize("left", [{}, {"hours": 1}])
def test_the_keys_of_a_command_are_used_until_they_need_renewal(
    left: dict[str, float], command: Callable[[str], None], bucket: str
) -> None:
    command(keys(**left))
    storage.write(f"{bucket}/x", b"1")
    command("nothing")
    assert storage.read(f"{bucket}/x") == b"1"


def test_keys_are_renewed_before_they_expire(command: Callable[[str], None], bucket: str) -> None:
    command(keys(minutes=4))
    storage.write(f"{bucket}/x", b"1")
    assert storage.read(f"{bucket}/x") == b"1"
    command(keys("wrong", minutes=4))
    assert "the server refuses the secret key" in line_of(f"{bucket}/x")
    command(keys(minutes=4))
    assert storage.read(f"{bucket}/x") == b"1"


def test_a_renewal_that_fails_is_an_error_only_once_the_keys_expire(
    command: Callable[[str], None], bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    command(keys(minutes=4))
    storage.write(f"{bucket}/x", b"1")
    command(HIDDEN)
    assert storage.read(f"{bucket}/x") == b"1"
    command(keys(seconds=30))
    assert storage.read(f"{bucket}/x") == b"1"
    command(HIDDEN)
    assert line_of(f"{bucket}/x").startswith(f"{bucket}/x: AWS profile 'lab': its credential_process gives no valid")
    command(keys(minutes=4))
    assert storage.read(f"{bucket}/x") == b"1"
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("credential_process = /no/such/command", "its credential_process gives no valid keys: run that command"),
        (f"credential_process = sh -c 'echo {HIDDEN} >&2; exit 3'", "its credential_process gives no valid keys"),
        (f"credential_process = echo {HIDDEN}", "its credential_process gives no valid keys"),
        (f"credential_process = echo '[\"{HIDDEN}\"]'", "its credential_process gives no valid keys"),
        ("role_arn = x\nsource_profile = nobody", 'The source_profile "nobody" referenced in .*correct it in ~/.aws'),
        ("role_arn = x\nsource_profile = lab", "Infinite loop .*: correct it in ~/.aws/config"),
        ("role_arn = x", "missing: source_profile or credential_source: correct it in ~/.aws/config"),
        ("role_arn = x\nsource_profile = lab\nmfa_serial = y", "wants an MFA code .*: remove mfa_serial, or put keys"),
        (
            f"role_arn = {'x' * 30}\nweb_identity_token_file = /no/such/{HIDDEN}",
            r"no keys \(FileNotFoundError\): 'aws sts get-caller-identity --profile lab' says more",
        ),
        ("sso_session = none\nsso_account_id = 1\nsso_role_name = x", 'sso-session does not exist: "none": correct it'),
    ],
)
def test_a_profile_that_gives_no_keys_is_one_line_without_what_commands_said(
    text: str, message: str, home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(home, f"[profile lab]\n{text}\n", monkeypatch)
    line = line_of(f"{bucket}/x")
    assert re.search(f"AWS profile 'lab': .*{message}", line), line


def run_without_boto3(url: str) -> str:
    command = [sys.executable, "-c", WITHOUT_BOTO3, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_keys_in_a_profile_need_no_boto3_and_the_rest_names_the_extra(
    home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(home, "[profile lab]\ncredential_process = x\n", monkeypatch)
    assert run_without_boto3(f"{bucket}/x") == (
        "AWS profile 'lab': single sign-on, roles and commands need boto3: pip install 'hdna[aws]', on every node"
    )
    (home / ".aws" / "credentials").write_text(f"[lab]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    assert run_without_boto3(f"{bucket}/x") == "b'1'"


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_other_sources_in_the_environment_come_first(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(home, "[profile lab]\ncredential_process = x\n", monkeypatch)
    assert set(profile_settings()) == {"credential_process"}
    monkeypatch.setenv(variable, "somewhere")
    assert profile_settings() == {}


def allowed(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Account:
    """An AWS account of moto, with a bucket, where nobody may do what was not allowed."""

    def __init__(self, bucket: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bucket = bucket
        self._home = home
        self._patch = monkeypatch
        self._iam = boto3.client("iam", region_name="us-east-1")

    def role(self, *actions: str) -> str:
        """The ARN of a new role with these rights."""
        name = f"role-{secrets.token_hex(4)}"
        role = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=allowed("sts:AssumeRole"))
        self._iam.put_role_policy(RoleName=name, PolicyName="x", PolicyDocument=allowed(*actions))
        return str(role["Role"]["Arn"])

    def user(self, *actions: str) -> tuple[str, str]:
        """The keys of a new user with these rights."""
        name = f"user-{secrets.token_hex(4)}"
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(UserName=name, PolicyName="x", PolicyDocument=allowed(*actions))
        made = self._iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def profile(self, text: str, key: str, secret: str) -> None:
        """`lab`, with such keys in its source profile `me`; from now on rights are checked."""
        described(self._home, f"[profile lab]\n{text}\n", self._patch)
        (self._home / ".aws" / "credentials").write_text(
            f"[me]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self._patch.delenv(name, raising=False)
        self._patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)


@pytest.fixture
def account(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with moto_bucket() as bucket:
        yield Account(bucket, home, monkeypatch)  # whose undoing comes last


def test_a_role_is_assumed_with_the_keys_of_another_profile(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    role = account.role("s3:*")
    account.profile(f"role_arn = {role}\nsource_profile = me", *account.user("sts:AssumeRole"))
    storage.write(f"{account.bucket}/x", b"1")
    assert storage.read(f"{account.bucket}/x") == b"1"
    monkeypatch.setenv("AWS_PROFILE", "me")
    assert "access denied" in line_of(f"{account.bucket}/x")


def test_a_role_that_may_not_be_assumed_is_one_line(account: Account) -> None:
    account.profile(f"role_arn = {account.role('s3:*')}\nsource_profile = me", *account.user("s3:*"))
    assert "AWS profile 'lab': AWS refuses AssumeRole (AccessDenied): correct the profile, or ask for that right" in (
        line_of(f"{account.bucket}/x")
    )


def test_a_role_is_assumed_with_a_token_from_a_file(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(HIDDEN)
    text = f"role_arn = {account.role('s3:*')}\nweb_identity_token_file = {tmp_path}/token"
    account.profile(text, "no", "no")
    with monkeypatch.context() as patch:
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", inf)  # moto takes no request without a signature
        storage.write(f"{account.bucket}/x", b"1")
    assert storage.read(f"{account.bucket}/x") == b"1"


def test_a_role_is_assumed_with_the_keys_of_a_container(
    account: Account, answering: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = account.user("sts:AssumeRole")
    answer = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": "", "Expiration": after(hours=1)}
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering(200, json.dumps(answer).encode()))
    account.profile(f"role_arn = {account.role('s3:*')}\ncredential_source = EcsContainer", "no", "no")
    storage.write(f"{account.bucket}/x", b"1")


@pytest.mark.parametrize(
    ("may", "wanted"),
    [
        (["s3:ListBucket", "s3:GetObject"], "access denied"),
        (["s3:ListBucket", "s3:GetObject", "s3:PutObject"], "access denied"),
        (["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"], ""),
    ],
)
def test_what_a_run_may_not_do_is_found_by_taking_its_lease(may: list[str], wanted: str, account: Account) -> None:
    """Before any worker starts: a checkpoint's first put, and the first removal of an old one, would be too late."""
    account.profile(f"role_arn = {account.role(*may)}\nsource_profile = me", *account.user("sts:AssumeRole"))
    run = f"{account.bucket}/run"
    with pytest.raises(InputError, match=f"^{run}.*: {wanted}: ") if wanted else nullcontext():
        Lease(run, last_lease(run, print))


SSO = """
[profile lab]
role_arn = arn:aws:iam::123456789012:role/hdna
source_profile = corp
[profile corp]
sso_session = work
sso_account_id = 123456789012
sso_role_name = reader
[sso-session work]
sso_region = us-east-1
sso_start_url = https://work.example/start
"""


def sign_in(home: Path, **left: float) -> None:
    """What `aws sso login` leaves: a token, in a file named after the session."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    token = {"accessToken": HIDDEN, "expiresAt": after(**left), "region": "us-east-1"}
    (cache / f"{sha1(b'work').hexdigest()}.json").write_text(json.dumps(token))


def verified(url: str) -> str:
    """What `hdna prep verify` says, in a process of its own: botocore looks for the home directory only once."""
    command = [str(Path(sys.executable).with_name("hdna")), "prep", "verify", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and HIDDEN not in done.stderr
    return done.stderr


@pytest.mark.parametrize("profile", ["corp", "lab"])
def test_single_sign_on_that_has_ended_or_never_began_names_the_command(
    profile: str, home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(home, SSO, monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", profile)
    line = f"AWS profile '{profile}': nobody is signed in, or no longer: run 'aws sso login --profile corp'\n"
    assert verified(bucket).endswith(line)
    sign_in(home, hours=-1)
    assert verified(bucket).endswith(line)


def test_single_sign_on_gives_keys_until_the_portal_refuses_the_token(
    home: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, answering: Callable[[int, bytes], str]
) -> None:
    described(home, SSO, monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "corp")
    sign_in(home, hours=1)
    expires = (time.time() + 3600) * 1000
    keys = {"accessKeyId": KEY, "secretAccessKey": SECRET, "sessionToken": "", "expiration": int(expires)}
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", answering(200, json.dumps({"roleCredentials": keys}).encode()))
    assert "there is no manifest.json" in verified(bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", answering(401, b'{"__type": "UnauthorizedException"}'))
    assert "run 'aws sso login --profile corp'" in verified(bucket)

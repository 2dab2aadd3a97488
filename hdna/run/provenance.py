"""Which command started this process, and which commit of the code it runs."""

import json
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import hdna
from hdna.errors import without_secrets

_MAX_CHARACTERS = 2000


def this_command() -> str:
    """As it could be typed again, on one line, without passwords in URLs."""
    name, *arguments = sys.argv
    return without_secrets(shlex.join([Path(name).name, *arguments]))[:_MAX_CHARACTERS]


def code_commit() -> str:
    """The commit of the checkout that the package is in, with `-dirty` if files of it were changed, or the one that pip
    installed it from; empty if neither is known.
    """
    checkout = Path(hdna.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return _installed_commit()
    commit = _git(checkout, "rev-parse", "HEAD")
    changed = commit and _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; empty where there is no git, or it refuses."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _installed_commit() -> str:
    """From direct_url.json, which pip writes of an install from a repository (PEP 610)."""
    try:
        origin = json.loads(metadata.distribution("hdna").read_text("direct_url.json") or "{}")
        return str(origin["vcs_info"]["commit_id"])
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return ""

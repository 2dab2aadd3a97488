"""What this machine has for training, and how to fix what is missing.

Nothing here starts Ray or DeepSpeed, and no finding contains a token or a credential. A missing optional component (a
GPU, NVIDIA Apex) is ok; only what prevents a run is a failure.
"""

import os
import platform
import re
import resource
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from hdna import storage
from hdna.errors import InputError
from hdna.train.engine import apex_is_nvidia, fused_kernels

PYTHONS = ((3, 11), (3, 14))
"""Supported Python versions: from the first, below the second."""
MIN_DISK_GIB = 5.0
MIN_MEMORY_GIB = 4.0
MIN_SHARED_GIB = 1.0
MIN_OPEN_FILES = 1024
_GIB = 2**30
_OBJECT = "object"
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|SAS|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    ok: bool
    what: str
    fix: str = ""
    """How to fix it, or a hint; empty if there is nothing to do."""


def examine(url: str | None) -> Iterator[Finding]:
    """Check this machine and, if given, the bucket or folder `url`; yield the findings one by one."""
    yield _python()
    yield _torch()
    yield _device()
    yield _deepspeed()
    yield _apex()
    yield _ray()
    yield _token()
    yield _disk(Path.cwd())
    yield _memory()
    yield from _shared_memory(Path("/dev/shm"))
    yield _open_files()
    if url is not None:
        yield from _storage(url)


def _python() -> Finding:
    first, end = PYTHONS
    wanted = f"want Python {first[0]}.{first[1]} or newer, below {end[0]}.{end[1]}"
    ok = first <= sys.version_info[:2] < end
    return Finding(ok, f"Python {platform.python_version()}", "" if ok else wanted)


def _torch() -> Finding:
    what = f"torch {torch.__version__}"
    if torch.version.cuda and not torch.cuda.is_available():
        return Finding(True, f"{what}, a CUDA build that finds no GPU", "training will use the CPU")
    return Finding(True, what)


def _device() -> Finding:
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        names = ", ".join(f"{device.name} {device.total_memory / _GIB:.0f} GiB" for device in devices)
        return Finding(True, f"{len(devices)} GPU(s): {names}")
    threads = os.environ.get("OMP_NUM_THREADS")
    setting = f"OMP_NUM_THREADS={threads}" if threads else "OMP_NUM_THREADS not set"
    return Finding(True, f"no GPU; CPU with {os.cpu_count()} cores, {torch.get_num_threads()} torch threads, {setting}")


def _deepspeed() -> Finding:
    try:
        return Finding(True, f"DeepSpeed {metadata.version('deepspeed')}")
    except metadata.PackageNotFoundError:
        return Finding(False, "DeepSpeed is not installed", "pip install hdna again in this environment")


def _apex() -> Finding:
    """NVIDIA's Apex, none, or PyPI's unrelated project of the same name."""
    kernels = fused_kernels(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if apex_is_nvidia():
        return Finding(True, f"NVIDIA Apex is installed; kernels: {kernels}")
    if find_spec("apex") is not None:
        return Finding(
            True,
            f"the installed `apex` is PyPI's unrelated project and is not used; kernels: {kernels}",
            "pip uninstall apex",
        )
    hint = "optional: build it from github.com/NVIDIA/apex" if torch.cuda.is_available() else ""
    return Finding(True, f"NVIDIA Apex is not installed; kernels: {kernels}", hint)


def _ray() -> Finding:
    try:
        version = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return Finding(False, "Ray is not installed", "pip install hdna again in this environment")
    return Finding(True, f"Ray {version}, RAY_AUTH_MODE={os.environ.get('RAY_AUTH_MODE', 'not set')}")


def _token() -> Finding:
    """Whether Ray finds a token, in its search order, and whether others can read its file."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Finding(True, "Ray token: in RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        if named:
            return Finding(False, f"Ray token: RAY_AUTH_TOKEN_PATH names {path}, which is missing", f"create {path}")
        return Finding(True, "Ray token: none yet", "for a cluster: ray get-auth-token --generate")
    except OSError as error:
        return Finding(False, f"Ray token: {path} cannot be read ({error.strerror})", "check who owns that file")
    if mode & 0o077:
        return Finding(False, f"Ray token: others may read {path} (mode {mode:04o})", f"chmod 600 {path}")
    unset = os.environ.get("RAY_AUTH_MODE") != "token"
    return Finding(
        True, f"Ray token: {path}, private", "`ray job submit` sends it only with RAY_AUTH_MODE=token" if unset else ""
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / _GIB
    return _enough("disk", "free here", free, MIN_DISK_GIB, "free some space, or run where there is more")


def _memory() -> Finding:
    available = _available_memory(Path("/proc/meminfo"))
    if available is None:
        return Finding(True, "memory: this system does not report how much is free")
    return _enough("memory", "available", available / _GIB, MIN_MEMORY_GIB, "stop other programs, or add memory")


def _available_memory(meminfo: Path) -> int | None:
    """MemAvailable, in bytes."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _shared_memory(folder: Path) -> Iterator[Finding]:
    """Reported only if small: Ray and NCCL then slow down or fail. Containers have 64 MiB by default."""
    if not folder.is_dir():
        return
    total = shutil.disk_usage(folder).total / _GIB
    if total < MIN_SHARED_GIB:
        yield Finding(False, f"{folder}: {total:.2f} GiB in total", "start the container with --shm-size=2g or more")


def _enough(name: str, how: str, amount: float, minimum: float, fix: str) -> Finding:
    what = f"{name}: {amount:.1f} GiB {how}"
    return Finding(True, what) if amount >= minimum else Finding(False, f"{what}, want {minimum:.0f}", fix)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= MIN_OPEN_FILES:
        return Finding(True, f"open files: {'no limit' if soft == resource.RLIM_INFINITY else f'up to {soft:,}'}")
    limit = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    return Finding(
        False, f"open files: up to {soft:,}, want {MIN_OPEN_FILES:,}", f"ulimit -n {MIN_OPEN_FILES} (hard {limit})"
    )


def _storage(url: str) -> Iterator[Finding]:
    """Write, read back, conditionally put and delete an object of our own below `url`; stop at the first failure."""
    # In its own folder: deleting a local object also removes the empty folders around it.
    folder = storage.join(url, f"hdna-doctor-{uuid.uuid4().hex}")
    object_url, data = storage.join(folder, _OBJECT), folder.encode()
    try:
        trials: tuple[tuple[str, Callable[[], bool], str], ...] = (
            ("write", lambda: storage.write_if_absent(object_url, data), "an object with a new name was refused"),
            ("read back", lambda: storage.read(object_url) == data, "returned other bytes than were written"),
            (
                "conditional put",
                lambda: not storage.write_if_absent(object_url, b"") and storage.read(object_url) == data,
                "overwrites an existing object: checkpoints need a store with conditional create",
            ),
        )
        for trial, passes, fault in trials:
            yield (finding := _trial_result(url, trial, passes, fault))
            if not finding.ok:
                return
    finally:
        deleted = _trial_result(url, "delete", lambda: _deleted(folder), "the object still exists")
    yield deleted


def _deleted(folder: str) -> bool:
    storage.delete(folder, [_OBJECT])
    return not storage.exists(storage.join(folder, _OBJECT))


def _trial_result(url: str, trial: str, passes: Callable[[], bool], fault: str) -> Finding:
    """Run one trial; a failure is one line with the cause."""
    fix = "check the URL, and that this machine's credentials allow access to it"
    try:
        if passes():
            return Finding(True, _without_secrets(f"{url}: {trial} works"))
        fix = "use a store that does what it says, or take out the proxy before it"
    except FileNotFoundError:
        fault = "no such object or bucket"
    except InputError as error:
        fault = str(error).partition(": ")[2]
    return Finding(False, _without_secrets(f"{url}: {trial} failed: {fault}"), fix)


def _without_secrets(text: str) -> str:
    """`text` without credentials that a provider's message may quote: signatures, `user:password@`, our keys."""
    text = re.sub(r"\?[^\s)]*", "?...", text)
    text = re.sub(r"//[^/\s@]*@", "//...@", text)
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, "...")
    return text

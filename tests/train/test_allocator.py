"""The allocator setting, by what the system counts: pages that had to be faulted in again."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from hdna.train.allocator import keep_freed_memory, return_freed_memory
print(keep_freed_memory() if {kept} else False)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**24)  # 64 MiB
before = faults()
for _ in range(40):
    torch.ones(2**24)
print(faults() - before)
size = lambda: int(open("/proc/self/statm").read().split()[1])
before = size()
return_freed_memory()
print(before - size())
"""
PAGES = 2**26 // os.sysconf("SC_PAGE_SIZE")
glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator")


def counted(kept: bool, **environment: str) -> tuple[bool, int, int]:
    """Whether memory is kept, pages faulted in by forty tensors of 64 MiB in turn, and pages returned on demand."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "LD_PRELOAD"))}
    command = [sys.executable, "-c", FAULTS.format(kept=kept)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True)
    keeps, faulted, returned = done.stdout.split()
    return keeps == "True", int(faulted), int(returned)


@glibc_only
def test_freed_memory_is_used_again_and_returned_when_asked() -> None:
    """Kept, forty tensors fault in the pages of a few: aligned blocks leave gaps at first. Otherwise each its own."""
    kept, faulted, returned = counted(True)
    assert kept and faulted <= 12 * PAGES
    assert returned >= PAGES
    kept, faulted, _ = counted(False)
    assert not kept and faulted >= 36 * PAGES


@glibc_only
def test_a_choice_in_the_environment_stands() -> None:
    kept, _, _ = counted(True, MALLOC_MMAP_THRESHOLD_="33554432")
    assert not kept

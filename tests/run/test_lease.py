"""A run is trained by one driver at a time: who holds it, when it is free, and what the one before may still do."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdna import storage
from hdna.errors import InputError
from hdna.run import lease
from hdna.run.best_effort import BestEffort
from hdna.run.lease import Lease, LeaseLostError, last_lease

HOLD = """
import sys
from hdna.run import lease
from hdna.run.best_effort import BestEffort
from hdna.run.lease import Lease
lease.RENEW_S /= 10
with Lease(sys.argv[1], int(sys.argv[2])).renewed(BestEffort(print)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second for each second."""
    for name in ("RENEW_S", "LEASE_S", "_LOOK_S"):
        monkeypatch.setattr(lease, name, getattr(lease, name) / 10)


@pytest.fixture
def run(tmp_path: Path) -> str:
    return str(tmp_path / "run")


@pytest.fixture
def holder(run: str) -> Iterator[subprocess.Popen[str]]:
    """Another process on this machine that holds the run, with its lease as number 1."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, run, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def silent(event: object) -> None:
    """Nobody reads what is reported."""


def edit(run: str, number: int, change: Callable[[dict[str, object]], object]) -> None:
    url = f"{run}/lease/{number:06d}.json"
    record = json.loads(storage.read(url))
    change(record["holder"])
    storage.write(url, json.dumps(record).encode())


def moved_away(run: str, number: int = 1) -> None:
    """The holder is on another machine from now on."""
    edit(run, number, lambda holder: holder.update(boot="elsewhere", host="node-7"))


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def test_of_many_drivers_one_gets_the_lease(run: str) -> None:
    got: list[int] = []
    refused: list[str] = []
    all_looked = threading.Barrier(16)

    def take(number: int) -> None:
        last = last_lease(run, silent)
        all_looked.wait()
        try:
            Lease(run, last)
            got.append(number)
        except InputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and len(refused) == 15
    assert all("has been training this run since 20" in line for line in refused)


def test_a_lease_that_is_renewed_is_refused_with_who_holds_it_since_when(run: str) -> None:
    said: list[object] = []
    line = rf"^{run}: process {os.getpid()} on \S+ has been training this run since"
    with Lease(run, 0).renewed(BestEffort(silent)), pytest.raises(InputError, match=line):
        last_lease(run, said.append)
    (looking,) = said
    assert "looking for 1 s whether it still is" in str(looking)


def test_a_lease_that_was_given_back_is_free_at_once_and_its_number_is_used_up(run: str) -> None:
    with Lease(run, 0).renewed(BestEffort(silent)):
        pass
    assert last_lease(run, silent) == 1
    with Lease(run, 1).renewed(BestEffort(silent)):
        assert list(storage.list_objects(f"{run}/lease")) == ["000002.json"]


def test_a_killed_holder_is_known_to_be_gone_even_while_nobody_reaps_it(
    run: str, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # has ended, and stays a zombie
    os.kill(holder.pid, 0)
    assert seconds(lambda: last_lease(run, silent)) < lease.LEASE_S / 2


def test_a_stranger_with_the_same_process_number_holds_nothing(run: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    edit(run, 1, lambda record: record.update(pid=os.getpid()))
    assert seconds(lambda: last_lease(run, silent)) < lease.LEASE_S / 2


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_holder_elsewhere_is_judged_by_change_alone_whatever_its_clock_says(run: str, hours: int) -> None:
    said = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    held = Lease(run, 0)
    edit(run, 1, lambda holder: holder.update(boot="elsewhere", since=said))
    os.utime(f"{run}/lease/000001.json", (time.time() + 3600 * hours,) * 2)
    taken = seconds(lambda: last_lease(run, silent))
    assert lease.LEASE_S <= taken <= 2 * lease.LEASE_S, "never renewed"
    with held.renewed(BestEffort(silent)), pytest.raises(InputError, match="has been training"):
        last_lease(run, silent)


def test_a_holder_that_was_paused_finds_that_the_run_is_another_ones(run: str, holder: subprocess.Popen[str]) -> None:
    """Stopped on this machine, where its process is still there."""
    os.kill(holder.pid, signal.SIGSTOP)
    assert lease.LEASE_S <= seconds(lambda: last_lease(run, silent)) <= 2 * lease.LEASE_S
    before = lease.Fence(run, 1)
    before.check()
    mine = Lease(run, 1)
    mine.fence.check()
    with pytest.raises(LeaseLostError, match=rf"^{run}: process {os.getpid()} on \S+ has taken this run over"):
        before.check()
    os.kill(holder.pid, signal.SIGCONT)
    time.sleep(5 * lease.RENEW_S)  # its own renewals have come meanwhile
    mine.fence.check()
    assert last_lease(run, silent) == 2, "what the other one still writes changes nothing"


def test_renewing_tells_the_holder_that_it_has_lost_the_run(run: str) -> None:
    held = Lease(run, 0)
    with held.renewed(BestEffort(silent)):
        held.check()
        Lease(run, 1)
        time.sleep(4 * lease.RENEW_S)
        with pytest.raises(LeaseLostError, match="has taken this run over"):
            held.check()


def test_each_worker_group_shuts_out_those_before_it(run: str) -> None:
    held = Lease(run, 0)
    first, second = held.fence, held.next_fence()
    second.check()
    with pytest.raises(LeaseLostError):
        first.check()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"holder": 1}', b"\xff" * 100])
def test_a_damaged_lease_is_watched_like_another_one(run: str, content: bytes) -> None:
    held = Lease(run, 0)
    storage.write(f"{run}/lease/000001.json", content)
    assert seconds(lambda: last_lease(run, silent)) >= lease.LEASE_S
    with held.renewed(BestEffort(silent)), pytest.raises(InputError, match="has been training"):
        last_lease(run, silent)


def test_files_that_are_no_leases_hold_nothing(run: str) -> None:
    for name in ("x.json", "1.json", "-00001.json", f"{'9' * 5000}.json"[-200:], "000001.json.partial"):
        storage.write(f"{run}/lease/{name}", b"{}")
    assert last_lease(run, silent) == 0

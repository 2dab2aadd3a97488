"""One save of a checkpoint by all ranks: each that owns tensors writes its part, then rank 0 commits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hdna.checkpoint import RunState, checkpoint_url, commit_checkpoint, next_attempt, write_checkpoint_part
from hdna.errors import InputError
from hdna.parallel import Mesh
from hdna.run.best_effort import in_one_line
from hdna.run.lease import Fence
from hdna.storage.manifest import FileEntry

_CPU = torch.device("cpu")
_ENTRY_BYTES, _REASON_BYTES = 40, 1000


class SaveFailedError(InputError):
    """A checkpoint was not saved, for a reason that every rank knows. Nothing of it counts."""


@dataclass(frozen=True)
class Save:
    """What is saved, and for whom."""

    run_url: str
    state: RunState
    valid_bits_per_base: float | None
    """Of these weights, if this step was evaluated."""
    fence: Fence | None
    """Refuses the commit of a run that another driver has taken over; None without drivers."""

    def together(self, mesh: Mesh, tensors: dict[str, torch.Tensor]) -> str:
        """Write this rank's `tensors` and commit; return the checkpoint's URL. Called by all ranks.

        The ranks that have tensors are the lowest ones (`owned_tensors`): they number the parts.

        Raises SaveFailedError on all of them when any fails.
        """
        step = self.state.step
        attempt = int(_by_leader(mesh, lambda: str(next_attempt(self.run_url, step))))
        url = checkpoint_url(self.run_url, step, attempt)
        count = int(mesh.sum(torch.tensor(int(bool(tensors)))))
        part = _Part.of(lambda: write_checkpoint_part(url, mesh.rank, count, tensors)) if tensors else _Part(None)
        parts = [_Part.from_row(row) for row in mesh.gather(part.to_row())]
        for rank, part in enumerate(parts):
            if part.reason:
                raise SaveFailedError(f"rank {rank}: {part.reason}" if mesh.world_size > 1 else part.reason)
        return _by_leader(mesh, lambda: self._commit(url, attempt, [part.entry for part in parts if part.entry]))

    def _commit(self, url: str, attempt: int, entries: list[FileEntry]) -> str:
        about = {"valid_bits_per_base": self.valid_bits_per_base}
        if self.fence:
            self.fence.check()
            about["lease"] = self.fence.number
        commit_checkpoint(self.run_url, self.state, attempt, entries, about)
        return url


@dataclass(frozen=True)
class _Part:
    """What became of one rank's part: its manifest entry, or why there is none; neither if it owns no tensors."""

    entry: FileEntry | None
    reason: str = ""

    @classmethod
    def of(cls, write: Callable[[], FileEntry]) -> "_Part":
        try:
            return cls(write())
        except Exception as error:
            return cls(None, in_one_line(error))

    def to_row(self) -> torch.Tensor:
        """As a row of bytes of fixed length, for the other ranks."""
        entry = self.entry.bytes.to_bytes(8, "big") + bytes.fromhex(self.entry.sha256) if self.entry else b""
        reason = self.reason.encode()[:_REASON_BYTES]
        row = entry.ljust(_ENTRY_BYTES, b"\0") + reason.ljust(_REASON_BYTES, b"\0")
        return torch.frombuffer(bytearray(row), dtype=torch.uint8)

    @classmethod
    def from_row(cls, row: torch.Tensor) -> "_Part":
        data = row.numpy().tobytes()
        if reason := data[_ENTRY_BYTES:].rstrip(b"\0").decode(errors="replace"):
            return cls(None, reason)
        if not any(data):
            return cls(None)
        return cls(FileEntry(int.from_bytes(data[:8], "big"), data[8:_ENTRY_BYTES].hex()))


def _by_leader(mesh: Mesh, action: Callable[[], str]) -> str:
    """What `action` returns on rank 0, on every rank. Raises SaveFailedError on every rank when it fails there."""
    answer = b""
    if mesh.is_leader:
        try:
            answer = b"+" + action().encode()
        except Exception as error:
            answer = b"-" + in_one_line(error).encode()
    answer = mesh.broadcast(answer, _CPU)
    if answer[:1] == b"-":
        raise SaveFailedError(answer[1:].decode())
    return answer[1:].decode()

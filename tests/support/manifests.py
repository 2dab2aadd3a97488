"""Changes to what was committed: bare, as an accident makes them, or with checksums that fit, as an author makes them.

The checksums are computed here from the documentation of the formats, not with the code under test.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Body = dict[str, Any]
Change = Callable[[Body], object]


def canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON with its keys sorted, no white space, and ASCII only."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value)


def seal(body: Body) -> None:
    """Put the checksum into a manifest: sha256 of its canonical JSON without the key `sha256`."""
    body.pop("sha256", None)
    body["sha256"] = hashlib.sha256(canonical(body).encode()).hexdigest()


def edit_json(path: Path, change: Change) -> None:
    """Change a JSON file and nothing else."""
    body = json.loads(path.read_bytes())
    change(body)
    path.write_text(json.dumps(body))


def edit_manifest(path: Path, change: Change) -> None:
    """Change a manifest and make its checksum fit."""

    def change_and_seal(body: Body) -> None:
        change(body)
        seal(body)

    edit_json(path, change_and_seal)


def write_listed(manifest: Path, name: str, data: bytes) -> None:
    """Replace a file that a manifest lists, and make the manifest fit: sizes and checksums."""
    (manifest.parent / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def change(body: Body) -> None:
        body["files"][name] = entry
        for shard in body.get("shards", []):
            if shard["url"] == name:
                shard.update(entry)

    edit_manifest(manifest, change)


def edit_listed(manifest: Path, name: str, change: Change) -> None:
    """Change a JSON file that a manifest lists, and make the manifest fit."""
    body = json.loads((manifest.parent / name).read_bytes())
    change(body)
    write_listed(manifest, name, json.dumps(body).encode())

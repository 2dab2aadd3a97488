"""A manifest carries the checksum of itself, over a form that anybody can compute from its description."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.manifests import canonical, edit_json, edit_manifest

from hdna.errors import InputError
from hdna.storage.manifest import FileEntry, Format, canonical_sha256, put_manifest, read_manifest

FORMAT = Format("hdna-test", 7, "test set")
BODY: dict[str, Any] = {"név": 'Ω "x"\n', "b": [1, -2, 0.5, None, True, {"z": {}, "a": []}], "a": 2**63}
FILES = {"part": FileEntry(3, "ab" * 32)}
PINNED = "ef619e4e4ae81a8141d3e9f050f3b44547969b986d7f59326511075f737bab00"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a manifest."""
    assert put_manifest(str(tmp_path), FORMAT, BODY, FILES)
    return tmp_path


def test_the_checksum_is_that_of_the_description_and_always_the_same(folder: Path) -> None:
    """Pinned: another one would make every manifest unreadable."""
    body = json.loads((folder / "manifest.json").read_text())
    said = body.pop("sha256")
    assert said == hashlib.sha256(canonical(body).encode("ascii")).hexdigest() == PINNED
    found = read_manifest(str(folder), FORMAT)
    assert found.checksum == PINNED and found.files == FILES
    assert {key: found.body[key] for key in BODY} == BODY


@given(st.dictionaries(st.text(), VALUES))
def test_any_json_has_the_checksum_of_the_description(body: dict[str, Any]) -> None:
    rest = {key: value for key, value in body.items() if key != "sha256"}
    assert canonical_sha256(body) == hashlib.sha256(canonical(rest).encode("ascii")).hexdigest()


def test_layout_does_not_matter_and_everything_else_does(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=7, ensure_ascii=False))
    assert read_manifest(str(folder), FORMAT).checksum == PINNED
    edit_json(path, lambda body: body.update(new=None))
    with pytest.raises(InputError, match=f"^{path}: does not match its own checksum, as after an edit: .* copy it"):
        read_manifest(str(folder), FORMAT)
    edit_manifest(path, lambda body: None)
    assert read_manifest(str(folder), FORMAT).body["new"] is None


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"bytes": -1, "sha256": "0" * 64}, r"\$.files\[...\].bytes"),
        ({"bytes": 2**63, "sha256": "0" * 64}, r"\$.files\[...\].bytes"),
        ({"bytes": True, "sha256": "0" * 64}, r"\$.files\[...\].bytes"),
        ({"bytes": 1.5, "sha256": "0" * 64}, r"\$.files\[...\].bytes"),
        ({"bytes": 1, "sha256": "A" * 64}, r"\$.files\[...\].sha256"),
        ({"bytes": 1, "sha256": "0" * 64 + "\n"}, r"\$.files\[...\].sha256"),
        ({"bytes": 1}, "sha256"),
        ([1, "0" * 64], r"\$.files\[...\]"),
        (None, r"\$.files\[...\]"),
    ],
)
def test_an_entry_of_the_file_table_is_checked_though_the_checksum_fits(entry: Any, why: str, folder: Path) -> None:  # noqa: ANN401
    path = folder / "manifest.json"
    edit_manifest(path, lambda body: body["files"].update(part=entry))
    with pytest.raises(InputError, match=f"^{path}: not as its format says .*{why}"):
        read_manifest(str(folder), FORMAT)


@pytest.mark.parametrize(
    ("missing", "why"),
    [("files", "files"), ("sha256", "sha256"), ("version", "None"), ("format", "not the manifest of a test set")],
)
def test_what_every_manifest_has_may_not_be_missing(missing: str, why: str, folder: Path) -> None:
    path = folder / "manifest.json"
    edit_json(path, lambda body: body.pop(missing))
    with pytest.raises(InputError, match=f"^{path}: .*{re.escape(why)}"):
        read_manifest(str(folder), FORMAT)


def test_nesting_of_any_depth_is_one_line(folder: Path) -> None:
    """Whatever gives up first: the parser, or the checksum."""
    head = b'{"format": "hdna-test", "version": 7, "files": {}, "sha256": "%s", "deep": ' % (b"0" * 64)
    for depth in range(100, 1200):
        (folder / "manifest.json").write_bytes(head + b"[" * depth + b"]" * depth + b"}")
        with pytest.raises(InputError, match=r"nested too deeply|does not match its own checksum"):
            read_manifest(str(folder), FORMAT)


def test_a_files_content_is_what_was_checked(folder: Path) -> None:
    (folder / "part").write_bytes(b"abc")
    entry = FileEntry(3, hashlib.sha256(b"abc").hexdigest())
    edit_manifest(folder / "manifest.json", lambda body: body["files"]["part"].update(sha256=entry.sha256))
    manifest = read_manifest(str(folder), FORMAT)
    assert manifest.read("part") == b"abc"
    assert manifest.find_missing() is None and manifest.find_damage() is None
    (folder / "part").write_bytes(b"abd")
    assert manifest.find_missing() is None
    assert manifest.find_damage() == f"{folder}/part does not have the sha256 its manifest says"
    with pytest.raises(InputError, match="part does not have the sha256 its manifest says: the test set is damaged"):
        manifest.read("part")
    (folder / "part").write_bytes(b"ab")
    assert manifest.find_missing() == manifest.find_damage() == f"{folder}/part has 2 bytes, its manifest says 3"
    (folder / "part").unlink()
    assert manifest.find_missing() == manifest.find_damage() == f"{folder}/part is missing"
    for name in ("part", "other"):
        with pytest.raises(InputError, match=f"{folder}/{name}.*: the test set is damaged: make it again, or copy it"):
            manifest.read(name)

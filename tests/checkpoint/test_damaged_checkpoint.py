"""No byte of a checkpoint changes unseen; what its checksums cover is still refused when it is no checkpoint.

A damaged newest checkpoint is passed over with the reason.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as safetensors
from support.checkpoints import OTHERS, TENSORS, save
from support.manifests import Change, edit_json, edit_listed, edit_manifest, write_listed

from hdna.checkpoint import list_checkpoints, load_checkpoint, load_weights, newest_intact, read_state
from hdna.errors import InputError

PARTS = ("part-00000-of-00002.safetensors", "part-00001-of-00002.safetensors")
Damage = Callable[[Path], object]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with checkpoints of steps 1 and 2."""
    for step in (1, 2):
        save(tmp_path, step)
    return tmp_path


@pytest.fixture
def newest(run: Path) -> Path:
    return run / "checkpoints" / "step-000002"


@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json"])
def test_no_digit_can_change_unseen(name: str, newest: Path) -> None:
    text = (newest / name).read_text()
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    assert places
    for place in places:
        (newest / name).write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
        with pytest.raises(InputError, match=str(newest)):
            load_checkpoint(str(newest))
        with pytest.raises(InputError, match=str(newest)):
            read_state(str(newest))


@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json", *PARTS])
def test_a_newest_checkpoint_with_any_bit_flipped_is_passed_over(name: str, run: Path, newest: Path) -> None:
    path = newest / name
    sound, draw = path.read_bytes(), random.Random(name)
    for _ in range(100):
        data = bytearray(sound)
        bit = draw.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(data))
        ref, (reason,) = newest_intact(str(run))
        assert ref is not None and ref.step == 1, bit
        assert reason.startswith(str(path)) and "\n" not in reason
        assert load_weights(str(run))["b"].tolist() == [1.0] * 4


@pytest.mark.parametrize("name", ["state.json", *PARTS])
def test_a_newest_checkpoint_with_a_file_missing_is_passed_over(name: str, run: Path, newest: Path) -> None:
    (newest / name).unlink()
    ref, (reason,) = newest_intact(str(run))
    assert ref is not None and ref.step == 1
    assert reason == f"{newest / name} is missing"
    assert load_weights(str(run))["b"].tolist() == [1.0] * 4
    with pytest.raises(InputError, match=f"{newest / name} is missing: the checkpoint is damaged"):
        load_checkpoint(str(newest))


def test_a_run_whose_every_checkpoint_is_damaged_says_what_is_wrong_with_each(run: Path) -> None:
    for ref in list_checkpoints(str(run)):
        (Path(ref.url) / "state.json").unlink()
    with pytest.raises(InputError, match=r"has no intact checkpoint: .*step-000002.* is missing; .*step-000001"):
        load_weights(str(run))


def state(change: Change) -> Damage:
    return lambda folder: edit_listed(folder / "MANIFEST.json", "state.json", change)


def manifest(change: Change) -> Damage:
    return lambda folder: edit_manifest(folder / "MANIFEST.json", change)


def part(**tensors: torch.Tensor | None) -> Damage:
    """Other tensors in the second part, by the name with _ for the dot; None: without it."""

    def change(folder: Path) -> None:
        new = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
        content = {name: tensor for name, tensor in {**OTHERS, **new}.items() if tensor is not None}
        write_listed(folder / "MANIFEST.json", PARTS[1], safetensors(content))

    return change


def third_part(folder: Path) -> None:
    write_listed(folder / "MANIFEST.json", "part-00002-of-00003.safetensors", safetensors(TENSORS))


def no_parts(folder: Path) -> None:
    edit_manifest(folder / "MANIFEST.json", lambda body: [body["files"].pop(name) for name in PARTS])


CHANGES: dict[str, tuple[Damage, str]] = {
    "another step in the state": (state(lambda body: body.update(step=3)), "step 3, but its manifest says 2"),
    "another step in the manifest": (manifest(lambda body: body.update(step=3)), "step 2, but its manifest says 3"),
    "no step in the manifest": (manifest(lambda body: body.pop("step")), "step 2, but its manifest says None"),
    "no tokens": (state(lambda body: body.pop("tokens")), "lacks tokens"),
    "negative updates": (state(lambda body: body.update(updates=-1)), r"\$.updates"),
    "a step of many digits": (state(lambda body: body.update(step=10**30)), r"\$.step"),
    "a recipe that is a list": (state(lambda body: body.update(recipe=[])), r"\$.recipe"),
    "data without a sha256": (state(lambda body: body.update(data={"0": "x"})), r"\$.data"),
    "another format": (manifest(lambda body: body.update(format="hdna-shards")), "not the manifest of a checkpoint"),
    "a newer version": (manifest(lambda body: body.update(version=3)), "format version 3, but this program reads 2"),
    "a file outside": (manifest(lambda body: body["files"].update({"../x": body["files"]["state.json"]})), "outside"),
    "a part missing": (manifest(lambda body: body["files"].pop(PARTS[1])), "not all parts of one checkpoint"),
    "a part of three": (third_part, "not all parts of one checkpoint"),
    "no parts": (no_parts, "not all parts of one checkpoint"),
    "a file too many": (lambda folder: write_listed(folder / "MANIFEST.json", "x", b""), "not all parts of one"),
    "another precision": (part(parameters__b=torch.zeros(4, dtype=torch.float16)), "unexpected tensor parameters.b"),
    "another kind of tensor": (part(gradients__b=torch.zeros(4)), "unexpected tensor gradients.b"),
    "a tensor twice": (part(parameters__a=torch.zeros(2, 3)), "unexpected tensor parameters.a"),
    "a moment missing": (part(exp_avg__b=None), "exp_avg.b does not fit its parameter"),
    "a moment of another shape": (part(exp_avg_sq__b=torch.zeros(5)), "exp_avg_sq.b does not fit its parameter"),
    "a moment without a parameter": (part(parameters__b=None), "exp_avg.b does not fit its parameter"),
    "no safetensors": (lambda folder: write_listed(folder / "MANIFEST.json", PARTS[1], b"x" * 99), PARTS[1]),
    "a header of all memory": (lambda f: write_listed(f / "MANIFEST.json", PARTS[1], b"\xff" * 7 + b"\x7f"), PARTS[1]),
    "a state that is no JSON": (lambda f: write_listed(f / "MANIFEST.json", "state.json", b"{"), "not valid JSON"),
    "a state that is a list": (lambda f: write_listed(f / "MANIFEST.json", "state.json", b"[]"), "state.json"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_no_checkpoint_is_refused_though_every_checksum_fits(change: str, newest: Path) -> None:
    apply, why = CHANGES[change]
    apply(newest)
    with pytest.raises(InputError, match=rf"{newest}.*{why}") as caught:
        load_checkpoint(str(newest))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json"])
def test_a_changed_field_without_its_checksum_is_refused_as_damage(name: str, newest: Path) -> None:
    edit_json(newest / name, lambda body: body.update(step=3))
    with pytest.raises(InputError, match=rf"{newest / name}.*(does not match its own checksum|bytes, its manifest)"):
        load_checkpoint(str(newest))


def test_the_same_manifest_in_another_layout_is_not_refused(newest: Path) -> None:
    body = json.loads((newest / "MANIFEST.json").read_bytes())
    (newest / "MANIFEST.json").write_text(json.dumps(dict(reversed(body.items())), indent=3))
    assert load_checkpoint(str(newest)).state.step == 2

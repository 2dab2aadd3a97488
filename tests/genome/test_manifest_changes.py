"""Training and `prep verify` refuse the same manifests: bare changes by the checksum, others by what they say."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.manifests import Body, Change, edit_json, edit_manifest
from support.shard_sets import READERS, TRAIN, refusal, train_on

from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna_prep.verify import verify

VALID = "valid-000000.tar"


def shard(**fields: object) -> Change:
    """Fields of the train shard."""
    return lambda body: body["shards"][0].update(fields)


def sample(**fields: object) -> Change:
    """Fields of the first train window, which has a mask."""
    return lambda body: body["shards"][0]["samples"][0].update(fields)


def unmasked(**fields: object) -> Change:
    """Fields of the second train window, which has no mask."""
    return lambda body: body["shards"][0]["samples"][1].update(fields)


def shifted(field: str, by: int) -> Change:
    """A number of the first train window, changed."""

    def change(body: Body) -> None:
        body["shards"][0]["samples"][0][field] += by

    return change


def exchanged(*fields: str) -> Change:
    """The same fields of the second and the fourth train window, which have no mask, in each other's place."""

    def change(body: Body) -> None:
        one, other = body["shards"][0]["samples"][1], body["shards"][0]["samples"][3]
        for field in fields:
            one[field], other[field] = other[field], one[field]

    return change


def totals(split: str, **fields: object) -> Change:
    return lambda body: body["totals"][split].update(fields)


def counts(**fields: object) -> Change:
    return lambda body: body["totals"]["train"]["counts"].update(fields)


def named(name: str) -> Change:
    """Another name for the train shard, in both tables."""

    def change(body: Body) -> None:
        body["files"][name] = body["files"].pop(TRAIN)
        body["shards"][0]["url"] = name

    return change


def sized(**fields: object) -> Change:
    """Another size or checksum of the train shard, in both tables."""

    def change(body: Body) -> None:
        body["files"][TRAIN].update(fields)
        body["shards"][0].update(fields)

    return change


def same_bases_in_two_splits(body: Body) -> None:
    train, valid = (body["shards"][number]["samples"][0] for number in (0, 1))
    valid.update(start=train["start"], end=train["start"] + valid["end"] - valid["start"])


def one_base_in_two_splits(body: Body) -> None:
    body["shards"][1]["samples"][2].update(start=6000, end=7001)


def moved_away(body: Body) -> None:
    body["shards"][1]["samples"][1].update(start=8002, end=9002)


def moved_away_with_totals(body: Body) -> None:
    """The base that two windows shared is not shared any more."""
    moved_away(body)
    body["shards"][1]["bases"] += 1
    body["totals"]["valid"]["bases"] += 1
    body["totals"]["valid"]["counts"]["A"] += 1


def window_read_twice(body: Body) -> None:
    """Under another key, with every total made to fit: 1,000 bases more."""
    body["shards"][0]["samples"].append({**body["shards"][0]["samples"][0], "key": "w000000099"})
    body["shards"][0]["bases"] += 1000
    body["totals"]["train"].update(windows=7, bases=7001)
    body["totals"]["train"]["counts"]["A"] += 1000


def split_renamed(body: Body) -> None:
    """The valid shard becomes the test shard, in all tables."""
    body["shards"][1].update(split="test")
    body["totals"]["valid"], body["totals"]["test"] = body["totals"]["test"], body["totals"]["valid"]


NOT_THERE = "not at the manifest's offset"
CHANGES: dict[str, tuple[Change, str]] = {
    "a number in place of the window": (lambda body: body.update(window="x"), r"\$.window"),
    "a window past the format's limit": (lambda body: body.update(window=1 << 32), r"\$.window"),
    "a window of 10**30": (lambda body: body.update(window=10**30), r"\$.window"),
    "a window shorter than its windows": (lambda body: body.update(window=999), "1001 bases, but .* have 2 to 1000"),
    "a window shorter than its crops": (lambda body: body.update(window=0), r"\$.window"),
    "no windows": (lambda body: body.pop("shards"), "shards"),
    "an end before the start": (sample(end=2999), "-1 bases, but the set's windows have 2 to 1001"),
    "an end far away": (sample(end=2**62), "bases, but the set's windows have 2 to 1001"),
    "an end past 64 bits": (sample(end=2**64), r"\$.shards\[0\].samples\[0\].end"),
    "a negative start": (sample(start=-1), r"\$.shards\[0\].samples\[0\].start"),
    "a start that is no integer": (sample(start=3000.5), r"\$.shards\[0\].samples\[0\].start"),
    "a window moved by a base": (sample(start=2999, end=4000), "overlap on one of g"),
    "a window cut by a base": (sample(end=4000), "json member differs"),
    "a window moved away by a base": (moved_away, "are not what its windows add up to"),
    "a window moved away, and the totals": (moved_away_with_totals, "json member differs"),
    "another contig": (sample(contig="two"), "json member differs|add up to"),
    "another assembly": (lambda body: [s.update(assembly="h") for x in body["shards"] for s in x["samples"]], "json"),
    "a key with a slash": (sample(key="a/b"), r"\$.shards\[0\].samples\[0\].key"),
    "another key": (sample(key="w000000098"), "w000000098.json is not where the manifest's samples, in order, have it"),
    "a key twice": (sample(key="w000000005"), "key w000000005 is used twice"),
    "an offset in the header of its tar": (sample(offset=64), "its data lie outside the shard"),
    "an offset past the end": (sample(offset=30720 - 1000), "its data lie outside the shard"),
    "an offset one byte later": (shifted("offset", 1), NOT_THERE),
    "an offset one block earlier": (shifted("offset", -512), NOT_THERE),
    "an offset of another window's bases": (exchanged("offset", "crc32c"), NOT_THERE),
    "a mask one byte later": (shifted("mask_offset", 1), NOT_THERE),
    "a mask where the tokens are": (sample(mask_offset=1664), NOT_THERE),
    "another crc32c": (shifted("crc32c", 1), "seq.npy data do not have the crc32c of the manifest"),
    "another crc32c of the mask": (shifted("mask_crc32c", 1), "mask.npy data do not have the crc32c of the manifest"),
    "a crc32c past 32 bits": (sample(crc32c=1 << 32), r"\$.shards\[0\].samples\[0\].crc32c"),
    "a mask without a checksum": (sample(mask_crc32c=None), "an offset or a checksum alone"),
    "a mask without an offset": (sample(mask_offset=None), "an offset or a checksum alone"),
    "a mask denied": (sample(mask_offset=None, mask_crc32c=None), "w000000005.json is not where"),
    "a mask made up": (unmasked(mask_offset=6784, mask_crc32c=2291981359), "w000000005.mask.npy is not where"),
    "two windows' places exchanged": (exchanged("start", "end"), "json member differs"),
    "two windows' keys exchanged": (exchanged("key"), "is not where the manifest's samples, in order, have it"),
    "windows in another order": (lambda body: body["shards"][0]["samples"].reverse(), "is not where the manifest's"),
    "a window left out": (lambda body: body["shards"][0]["samples"].pop(), "are not what its windows add up to"),
    "a window read twice": (window_read_twice, "windows w000000003 .train. and w000000099 .train. overlap on one of g"),
    "bases in two splits": (same_bases_in_two_splits, "overlap on one of g"),
    "one base in two splits": (one_base_in_two_splits, "overlap on one of g"),
    "a valid shard said to be train": (shard(split="valid"), "not named by split and number"),
    "a valid window said to be test": (split_renamed, "not named by split and number"),
    "an unknown split": (shard(split="dev"), r"\$.shards\[0\].split"),
    "other bases of a shard": (shard(bases=6000), "its 6000 bases are not what its windows add up to"),
    "shards in another order": (lambda body: body["shards"].reverse(), "not named by split and number, in order"),
    "a shard left out": (lambda body: body["shards"].pop(), "its shards and its file table differ"),
    "another size in one table": (shard(bytes=30721), "its shards and its file table differ"),
    "another size": (sized(bytes=30720 + 512), "damaged: 30720 bytes|does not have the bytes"),
    "another sha256": (sized(sha256="0" * 64), "its manifest says 30720 bytes, sha256 000000000000|does not have the"),
    "a size past all disks": (sized(bytes=1 << 41), r"\$.shards\[0\].bytes"),
    "a file too many": (lambda b: b["files"].update(x=b["files"][TRAIN]), "its shards and its file table differ"),
    "a file too few": (lambda body: body["files"].pop(TRAIN), "its shards and its file table differ"),
    "other bases of a split": (totals("train", bases=6000), "totals of train are not its 6 windows and 6001 bases"),
    "other windows of a split": (totals("valid", windows=4), "totals of valid are not its 3 windows and 3000 bases"),
    "totals of a split missing": (lambda body: body["totals"].pop("valid"), "totals of valid are missing"),
    "totals of an unknown split": (lambda b: b["totals"].update(dev=b["totals"]["test"]), r"\$.totals"),
    "a letter more": (counts(A=1462), "counts of train do not add up to its bases"),
    "a letter less": (counts(A=1460), "counts of train do not add up to its bases"),
    "a kind of letter": (counts(X=0), "counts of train do not add up to its bases"),
    "more soft-masked than there are": (counts(soft_masked=6002), "counts of train do not add up to its bases"),
    "an origin without its name": (lambda body: body["provenance"]["stores"][0].pop("name"), "name"),
    "a name in the folder above": (named("../train-000000.tar"), "its file table names .*lies outside"),
    "a name from the root": (named("/etc/passwd"), "its file table names .*lies outside"),
    "a URL": (named("file:///etc/passwd"), "its file table names .*lies outside"),
    "a command": (named("pipe:cat x.tar"), "its file table names .*lies outside"),
    "a folder below": (named("sub/train-000000.tar"), r"\$.shards\[0\].url"),
    "an option": (named("-rf.tar"), r"\$.shards\[0\].url"),
    "a name after a line end": (named("train-000000.tar\n"), r"\$.shards\[0\].url"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_manifest_is_refused_bare_and_with_a_checksum_that_fits(
    change: str, reader: str, shards: Path
) -> None:
    apply, why = CHANGES[change]
    manifest = shards / "manifest.json"
    sound = manifest.read_bytes()
    edit_json(manifest, apply)
    assert "manifest.json: does not match its own checksum" in refusal(reader, shards)
    manifest.write_bytes(sound)
    edit_manifest(manifest, apply)
    told = refusal(reader, shards)
    assert re.search(why, told) and "does not match its own checksum" not in told, told


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        assert old.encode() in text
        return text.replace(old.encode(), new.encode())

    return change


WHOLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another format": (replaced('"hdna-shards"', '"hdna-genome"'), "not the manifest of a shard set"),
    "a newer version": (replaced('"version": 2', '"version": 3'), "format version 3, but this program reads 2"),
    "an older version": (replaced('"version": 2', '"version": 1'), "format version 1, but this program reads 2"),
    "no checksum": (replaced('"sha256": "', '"sha255": "'), r"lacks|missing"),
    "a checksum cut short": (lambda text: text[:-5] + text[-4:], r"\$.sha256"),
    "half of it": (lambda text: text[: len(text) // 2], "not valid JSON"),
    "nothing": (lambda text: b"", "not valid JSON"),
    "a list": (lambda text: b"[" + text + b"]", "not as its format says"),
    "another encoding": (lambda text: text.decode().encode("utf-16"), "not valid JSON"),
    "a hundred thousand brackets": (lambda text: b'{"a":' + b"[" * 100_000, "nested too deeply"),
    "a number of a million digits": (lambda text: b'{"a":' + b"9" * 1_000_000 + b"}", "out of range"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", WHOLE)
def test_what_is_no_manifest_of_a_shard_set_is_refused(change: str, reader: str, shards: Path) -> None:
    apply, why = WHOLE[change]
    manifest = shards / "manifest.json"
    manifest.write_bytes(apply(manifest.read_bytes()))
    told = refusal(reader, shards)
    assert re.search(why, told), told


def test_the_sound_set_is_read_and_so_is_its_manifest_in_any_layout(shards: Path) -> None:
    """The same JSON without line ends and in another order of keys has the same checksum: nothing else is at fault."""
    checksum = load_shard_set(str(shards)).checksum
    edit_manifest(shards / "manifest.json", lambda body: body.update(window=body.pop("window")))
    assert load_shard_set(str(shards)).checksum == checksum
    train_on(shards)
    assert verify(str(shards)) == []


def test_no_digit_of_a_manifest_can_change_unseen(shards: Path) -> None:
    manifest = shards / "manifest.json"
    text = manifest.read_text()
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    assert len(places) > 700
    for place in places:
        manifest.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
        with pytest.raises(InputError, match=re.escape(str(manifest))):
            load_shard_set(str(shards))

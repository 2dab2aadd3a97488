"""Whoever opens a genome store and `prep verify` refuse the same ones, also those whose every checksum fits."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.manifests import Change, edit_json, edit_listed, edit_manifest
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval

READERS = ("reader", "prep verify")
ARRAYS = ("bases", "n_runs", "mask_runs", "iupac_positions", "iupac_codes", "contig_offsets", "contig_names")
Damage = Callable[[Path], object]


def read_all(folder: Path) -> None:
    store = GenomeStore.open(str(folder))
    for contig, length in store.contigs.items():
        whole = Interval(contig, 0, length)
        for read in (store.read, store.read_mask, store.read_ascii, store.count_unknown):
            read(whole)


def refusal(reader: str, folder: Path) -> str:
    """What a reader has against a store, in one line."""
    if reader == "reader":
        with pytest.raises(InputError) as caught:
            read_all(folder)
        return str(caught.value)
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert isinstance(result.exception, SystemExit) and result.exit_code == 1, result.exception or result.output
    (line,) = result.stdout.splitlines()
    return line


@pytest.mark.parametrize("name", ["manifest.json", "zarr.json", *(f"{array}/zarr.json" for array in ARRAYS)])
def test_no_digit_can_change_unseen(name: str, store: Path) -> None:
    path = store / name
    text = path.read_text()
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    assert len(places) >= 14
    for place in places:
        path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
        with pytest.raises(InputError, match=str(store)):
            read_all(store)
    path.write_text(text)
    read_all(store)


def attributes(change: Change) -> Damage:
    """The group's attributes, with every checksum made to fit."""
    return lambda folder: edit_listed(folder / "manifest.json", "zarr.json", lambda body: change(body["attributes"]))


def array(name: str, change: Change) -> Damage:
    """An array's metadata, with every checksum made to fit."""
    return lambda folder: edit_listed(folder / "manifest.json", f"{name}/zarr.json", change)


def manifest(change: Change) -> Damage:
    return lambda folder: edit_manifest(folder / "manifest.json", change)


def recounted(**fields: object) -> Damage:
    return attributes(lambda said: said["counts"].update(fields))


def name_a_file_that_is_not_there(folder: Path) -> None:
    edit_manifest(folder / "manifest.json", lambda body: body["files"].update(x=body["files"]["zarr.json"]))


CHANGES: dict[str, tuple[Damage, str]] = {
    "a missing file in the manifest": (name_a_file_that_is_not_there, "/x is missing: the genome store is damaged"),
    "a file left out": (manifest(lambda body: body["files"].pop("bases/c/0")), "1 chunks, but the manifest lists 0"),
    "metadata left out": (manifest(lambda body: body["files"].pop("n_runs/zarr.json")), "n_runs"),
    "attributes left out": (manifest(lambda body: body["files"].pop("zarr.json")), "damaged"),
    "another size of a file": (manifest(lambda b: b["files"]["zarr.json"].update(bytes=9)), "its manifest says 9"),
    "another sha256 of a file": (manifest(lambda b: b["files"]["bases/c/0"].update(sha256="0" * 64)), "bases/c/0 does"),
    "a file elsewhere": (manifest(lambda body: body["files"].update({"../x": body["files"]["zarr.json"]})), "outside"),
    "another format": (manifest(lambda body: body.update(format="hdna-shards")), "not the manifest of a genome store"),
    "a newer version": (manifest(lambda body: body.update(version=3)), "format version 3, but this program reads 2"),
    "another assembly in the manifest": (manifest(lambda body: body.update(assembly="h")), "differ in assembly"),
    "other bases in the manifest": (manifest(lambda body: body.update(bases=9002)), "differ in assembly or bases"),
    "no assembly": (attributes(lambda said: said.pop("assembly")), "missing required field `assembly`"),
    "an assembly that is a number": (attributes(lambda said: said.update(assembly=5)), r"\$.assembly"),
    "an empty assembly": (attributes(lambda said: said.update(assembly="")), r"\$.assembly"),
    "contigs that are a text": (attributes(lambda said: said.update(contigs="1")), r"\$.contigs"),
    "other contigs": (attributes(lambda said: said.update(contigs=2)), "the attributes say 2"),
    "negative bases": (attributes(lambda said: said.update(bases=-1)), r"\$.bases"),
    "bases past 64 bits": (attributes(lambda said: said.update(bases=2**64)), r"\$.bases"),
    "bases that are a fraction": (attributes(lambda said: said.update(bases=9001.5)), r"\$.bases"),
    "other bases": (attributes(lambda said: said.update(bases=9002)), "to the 9002 bases of the attributes"),
    "no counts": (attributes(lambda said: said.pop("counts")), "counts"),
    "counts that are a list": (attributes(lambda said: said.update(counts=[])), r"\$.counts"),
    "counts that do not add up": (recounted(ACGT=8951), "do not add up to its bases"),
    "a base taken for N": (recounted(ACGT=8949, N=51), "n_runs does not cover the 9001 bases and 51 of its kind"),
    "a base taken for another": (recounted(ACGT=8949, other=2), "iupac_positions are not as many as counted"),
    "more soft-masked": (recounted(soft_masked=2201), "mask_runs does not cover"),
    "sources that are a text": (attributes(lambda said: said.update(sources="g.fa")), r"\$.sources"),
    "a source without its sha256": (attributes(lambda said: said["sources"][0].pop("sha256")), "sha256"),
    "another type": (array("bases", lambda body: body.update(data_type="uint16")), "bases"),
    "another number of chunks": (array("bases", lambda body: body.update(shape=[1 << 50])), "but the manifest lists 1"),
    "another length": (array("bases", lambda body: body.update(shape=[2250])), "the lengths that the manifest says"),
    "two dimensions": (array("bases", lambda body: body.update(shape=[3, 751])), "number of dimensions"),
    "no shape": (array("bases", lambda body: body.pop("shape")), "damaged"),
    "a run cut off": (array("n_runs", lambda body: body.update(shape=[2])), "the lengths that the manifest says"),
    "a contig too many": (array("contig_offsets", lambda body: body.update(shape=[3])), "damaged"),
    "names cut off": (array("contig_names", lambda body: body.update(shape=[0])), "damaged"),
    "no codes": (array("iupac_codes", lambda body: body.update(shape=[0])), "damaged"),
    "no array": (array("iupac_codes", lambda body: body.update(node_type="group")), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_store_is_refused_though_every_checksum_fits(change: str, reader: str, store: Path) -> None:
    apply, why = CHANGES[change]
    apply(store)
    told = refusal(reader, store)
    assert told.startswith(str(store)) and re.search(why, told), told


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["manifest.json", "zarr.json"])
def test_a_changed_field_without_its_checksum_is_refused_as_damage(name: str, reader: str, store: Path) -> None:
    edit_json(store / name, lambda body: body.get("attributes", body).update(assembly="h"))
    assert re.search("does not match its own checksum|bytes, its manifest says", refusal(reader, store))

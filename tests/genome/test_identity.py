"""Accessions and refget identifiers: given once, they are in the store, in the shard set, and checked."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import hdna
from support.manifests import Change, edit_listed, edit_manifest

from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.identity import SequenceDigest
from hdna.genome.shard_set import load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

ACCESSION = "GCF_000002985.6"


def refget(letters: bytes) -> str:
    """As the specification says."""
    return "SQ." + base64.urlsafe_b64encode(hashlib.sha512(letters.upper()).digest()[:24]).decode("ascii")


def test_the_identifier_is_that_of_the_specification() -> None:
    """The example of GA4GH's documents (VRS, "truncated digest")."""
    digest = SequenceDigest()
    for letters in (b"a", b"Cg", b"T"):
        digest.update(letters)
    assert digest.identifier == "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A store with an accession, of two files, contigs larger and smaller than a reader's block among them."""
    text = b"ACGTTGCANNRYacgtu" * 40_000
    (tmp_path / "a.fa").write_bytes(b">one first\n" + text + b"\n>two\nAC\nGt\n")
    (tmp_path / "b.fa").write_bytes(b">three\r\nGGCA\r\nTTAA\r\n")
    fastas = [str(tmp_path / "a.fa"), str(tmp_path / "b.fa")]
    encode_genome(fastas, str(tmp_path / "g.zarr"), "worm", accession=ACCESSION)
    return tmp_path / "g.zarr"


def test_a_store_knows_its_accession_and_its_contigs_identifiers(known: Path) -> None:
    store = GenomeStore.open(str(known))
    assert store.accession == ACCESSION
    text = b"ACGTTGCANNRYacgtu" * 40_000
    assert store.identifiers == {"one": refget(text), "two": refget(b"ACGT"), "three": refget(b"GGCATTAA")}
    assert json.loads((known / "manifest.json").read_text())["contigs"] == store.identifiers


def test_a_shard_set_has_them_of_each_store(known: Path, tmp_path: Path) -> None:
    write_shards([str(known)], str(tmp_path / "set"), window=50_000)
    (origin,) = load_shard_set(str(tmp_path / "set")).provenance.stores
    store = GenomeStore.open(str(known))
    assert (origin.assembly, origin.accession, origin.contigs) == ("worm", ACCESSION, store.identifiers)


def test_stores_and_sets_without_them_are_read(store: Path, shards: Path, tmp_path: Path) -> None:
    """As those of earlier versions; a set can be made of such a store."""
    edit_manifest(store / "manifest.json", lambda body: body.pop("contigs"))
    opened = GenomeStore.open(str(store))
    assert (opened.accession, opened.identifiers) == (None, None)
    write_shards([str(store)], str(tmp_path / "new"), window=1000)
    (origin,) = load_shard_set(str(tmp_path / "new")).provenance.stores
    assert (origin.accession, origin.contigs) == (None, None)

    def forget(body: dict[str, dict[str, list[dict[str, object]]]]) -> None:
        for origin in body["provenance"]["stores"]:
            del origin["accession"], origin["contigs"]

    edit_manifest(shards / "manifest.json", forget)
    (origin,) = load_shard_set(str(shards)).provenance.stores
    assert (origin.accession, origin.contigs) == (None, None)


def manifest(change: Change) -> Callable[[Path], object]:
    return lambda folder: edit_manifest(folder / "manifest.json", change)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "another accession": (manifest(lambda body: body.update(accession="GCF_000002985.7")), "differ in accession"),
    "no accession": (manifest(lambda body: body.pop("accession")), "differ in accession"),
    "an accession that is none": (
        lambda folder: edit_listed(
            folder / "manifest.json", "zarr.json", lambda body: body["attributes"].update(accession="../x")
        ),
        r"\$.accession",
    ),
    "a contig without": (manifest(lambda body: body["contigs"].pop("two")), "an identifier for each contig"),
    "another contig": (manifest(lambda body: body["contigs"].update(x=refget(b""))), "an identifier for each contig"),
    "an identifier that is none": (manifest(lambda body: body["contigs"].update(two="SQ.x")), r"\$.contigs"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_contradicts_itself_is_refused(case: str, known: Path) -> None:
    change, message = DAMAGE[case]
    change(known)
    with pytest.raises(InputError, match=message):
        GenomeStore.open(str(known))


@pytest.mark.parametrize("accession", ["", "worm", "gcf_000002985.6", "GCF_000002985.6 ", "GCF_000002985.6\n", "GCF_"])
def test_what_is_no_accession_is_refused_before_anything_is_read(accession: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not an accession: want one as in GCF_000002985\.6"):
        encode_genome(["missing.fa"], str(tmp_path / "g.zarr"), accession=accession)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "accession", [ACCESSION, "GCA_000001405.29", "NC_000001.11", "U00096.3", "CM000663", "NZ_CP012345.1"]
)
def test_accessions_of_the_archives_are_taken(accession: str, tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(b">a\nACGT\n")
    out = hdna("prep", "genome", tmp_path / "g.fa", "--out", tmp_path / "g.zarr", "--accession", accession)
    assert f"g ({accession}), 1 contigs" in out
    assert GenomeStore.open(str(tmp_path / "g.zarr")).accession == accession

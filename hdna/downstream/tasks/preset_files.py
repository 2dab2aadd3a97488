"""Local copies of public labelled sets, in the layouts that they are published in."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hdna import storage
from hdna.downstream.tasks.presets import Preset
from hdna.downstream.tasks.source_rows import SourceRows, read_labelled_table, read_records
from hdna.downstream.tasks.species import cut_species
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna.storage.os_errors import os_errors_explained

_SPLITS = {"train": ("train",), "valid": ("valid", "val", "dev", "validation"), "test": ("test",)}
_TABLES, _FASTA = ("csv", "tsv", "parquet"), ("fasta", "fa", "fna")

Splits = dict[str, SourceRows]


def read_preset(preset: Preset, folder: str, genome: GenomeStore | None) -> Splits:
    """The splits that are in a local folder, or in its folder of the preset's name: of train, valid and test.

    Raises InputError that says what is wanted, and where to get it, when there is neither.
    """
    place = storage.local_path(folder)
    with os_errors_explained(folder):
        for own in (place, place / preset.folder):
            if own.is_dir() and (found := _splits(preset, own, genome)):
                return found
    raise InputError(f"{folder}: no files of {preset.name} there: want {preset.files}; get them from {preset.source}")


def _splits(preset: Preset, folder: Path, genome: GenomeStore | None) -> Splits:
    if preset.genomes:
        genomes = {name: path for name in preset.genomes if (path := _one(folder, (name,), _FASTA)) is not None}
        return cut_species(genomes, preset.length, preset.windows) if len(genomes) == len(preset.genomes) else {}
    found = Splits()
    for split, names in _SPLITS.items():
        classes = next((folder / name for name in names if (folder / name).is_dir()), None)
        table, fasta = _one(folder, names, _TABLES), _one(folder, names, _FASTA)
        if classes is not None:
            found[split] = _read_class_folders(classes)
        elif table is not None:
            found[split] = read_labelled_table(str(table), genome)
        elif fasta is not None:
            found[split] = _read_labels_in_headers(str(fasta))
    return found


def _one(folder: Path, names: Sequence[str], endings: Sequence[str]) -> Path | None:
    """The file in a folder whose name is one of `names`, or has it as its last or first word."""
    wanted = re.compile(rf"(.*[_.-])?({'|'.join(names)})([_.-].*)?\.({'|'.join(endings)})(\.gz)?", re.IGNORECASE)
    found = sorted(path for path in folder.iterdir() if path.is_file() and wanted.fullmatch(path.name))
    if len(found) > 1:
        raise InputError(f"{folder}: {found[0].name} and {found[1].name} are both {names[0]}: keep one")
    return found[0] if found else None


def _read_class_folders(folder: Path) -> SourceRows:
    """A folder for each class, a text file for each sequence: as GenomicBenchmarks are downloaded."""
    paths = list(_text_files(folder))
    if not paths:
        raise InputError(f"{folder}: no CLASS/*.txt below it: download the set again")
    texts = [path.read_bytes().decode(errors="replace") for path in paths]
    labels = {"label": [path.parent.name for path in paths]}
    return SourceRows(str(folder), texts, labels, lambda row: str(paths[row]))


def _text_files(folder: Path) -> Iterator[Path]:
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield from sorted(own.glob("*.txt"))


def _read_labels_in_headers(url: str) -> SourceRows:
    """FASTA whose header lines end in the label: after the last '|', or as their last digit."""
    headers, sequences = read_records(url)
    labels = [_label_in(header.text.decode().strip()) for header in headers]
    return SourceRows(url, sequences, {"label": labels}, lambda row: f"{url}:{headers[row].line}")


def _label_in(header: str) -> str | None:
    _, bar, last = header.rpartition("|")
    if bar:
        return last.strip()
    return header[-1] if header[-1].isdigit() else None

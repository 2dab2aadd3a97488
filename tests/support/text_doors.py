"""The texts that hdna reads, each with its reader and with what the documentation says they mean.

A text is refused in one line, or it has exactly that meaning; and where the documentation decides, nothing that it
allows is refused.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from hdna.config import RunConfig, dump_recipe, load_recipe
from hdna.config.recipe import parse_recipe
from hdna.config.source import read_recipe
from hdna.errors import InputError
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore
from hdna.run.files import METRICS, read_metrics
from hdna.run.step_record import StepRecord
from hdna_prep.encode import encode_genome
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.source import Source
from hdna_prep.splits import read_bed
from support import text_meanings
from support.fuzzing import OTHER, REFUSED, SAME, Outcome, outcome_of
from support.report_door import read_report, report_meaning
from support.small_recipe import BASE
from support.text_meanings import SCHEMA, SPLITS

UNDECIDED = object()
"""A meaning that the documentation leaves open."""
_LINE_ENDS = "[\r\n\x85\u2028\u2029]"
"""As YAML counts them."""
SEEDS = Path(__file__).parents[1] / "fuzz" / "seeds"
CONTIGS = {"one": 60, "chr2": 40, "track": 20}
"""Of the genome that BED files are read against; browsers' header lines begin with one of these names."""


@dataclass(frozen=True)
class TextDoor:
    """A kind of text: how hdna reads a file of it, and what the documentation says."""

    name: str
    read: Callable[[Path], object]
    meaning: Callable[[bytes], object]
    """None: to be refused."""
    decides: bool = True
    """Whether `meaning` knows every reason to refuse a text."""
    corpus: str = ""
    """Another door's name, if it shares that door's seeds."""

    def seeds(self) -> list[Path]:
        """The files in its corpus."""
        return sorted((SEEDS / (self.corpus or self.name)).iterdir())

    def outcome(self, data: bytes) -> Outcome:
        """What hdna makes of a file with these bytes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text"
            path.write_bytes(data)
            outcome = outcome_of(lambda: self.read(path), lambda found: self._judge(found, data), data)
        if outcome[0] == REFUSED and self.decides and self.meaning(data) not in (None, UNDECIDED):
            return OTHER, f"refused, though the documentation allows it: {outcome[1]}"
        return outcome

    def _judge(self, found: object, data: bytes) -> Outcome:
        meaning = self.meaning(data)
        if meaning in (found, UNDECIDED):
            return SAME, ""
        return OTHER, f"to hdna {found!r:.2000}, by the documentation {meaning!r:.2000}"


def read_letters(path: Path) -> text_meanings.Records:
    """Header lines and letters, from the FASTA reader alone."""
    records: text_meanings.Records = []
    for piece in read_fasta(Source(str(path))):
        if isinstance(piece, Header):
            records.append((piece.text.decode(), b""))
        else:
            records[-1] = (records[-1][0], records[-1][1] + piece)
    return records


def read_genome(path: Path) -> text_meanings.Records:
    """Header lines and letters, from a genome store made of the file."""
    encode_genome([str(path)], str(path.with_name("g.zarr")))
    store = GenomeStore.open(str(path.with_name("g.zarr")))
    letters = [store.read_ascii(Interval(contig, 0, length)) for contig, length in store.contigs.items()]
    return list(zip(store.headers, letters, strict=True))


@cache
def genome() -> GenomeStore:
    """A genome of CONTIGS."""
    with tempfile.TemporaryDirectory() as folder:
        fasta, store = Path(folder) / "g.fa", f"{folder}/g.zarr"
        fasta.write_text("".join(f">{name}\n{'A' * length}\n" for name, length in CONTIGS.items()))
        encode_genome([str(fasta)], store)
        return GenomeStore.open(store)


def read_splits(path: Path) -> dict[str, str]:
    """The split of every base, by its letter."""
    bases = {contig: bytearray(b"." * length) for contig, length in CONTIGS.items()}
    for stretch in read_bed(str(path), {"g": genome()}):
        bases[stretch.contig][stretch.start : stretch.end] = SPLITS[stretch.split].encode() * stretch.bases
    return {contig: splits.decode() for contig, splits in bases.items()}


def read_recipe_file(path: Path) -> object:
    """Its values; again, from the text that a run would keep of it; and what the schema has against it."""
    config = load_recipe(str(path))
    tree, _ = read_recipe(path.read_text(encoding="utf-8"), "")
    complaints = [error.message for error in Draft7Validator(SCHEMA).iter_errors(tree)]
    return asdict(config), _kept(config), complaints


def _kept(config: RunConfig) -> object:
    kept = dump_recipe(config).encode().decode()
    try:
        return asdict(parse_recipe(kept, "recipe.yaml"))
    except InputError as error:
        return f"{error}: {kept}"


def recipe_meaning(data: bytes) -> object:
    values = text_meanings.recipe(data)
    return values and (values, values, [])


def read_override(path: Path) -> object:
    """The values of a small recipe with an override, as the command line hands it over."""
    return asdict(parse_recipe(BASE, "r.yaml", [os.fsdecode(path.read_bytes())]))


def override_meaning(data: bytes) -> object:
    """The values of the same recipe with the key written in it."""
    key, equals, value = os.fsdecode(data).partition("=")
    if re.search(r"^(---|\.\.\.|%|\ufeff)", value, re.MULTILINE):
        return UNDECIDED  # it begins or ends a document of its own, which it cannot within a recipe
    tree: Any = yaml.load(BASE, Loader=yaml.BaseLoader)  # noqa: S506 - every scalar stays text
    *around, last = [part.strip() for part in re.sub(r"\[([0-9]+)\]", r".\1", key).split(".")]
    try:
        holder = tree
        for part in around:
            holder = holder[_index(part)] if isinstance(holder, list) else holder.setdefault(part, {})
        holder[_index(last) if isinstance(holder, list) else last] = value
        return asdict(parse_recipe(_block(tree), "r.yaml")) if equals else None
    except (InputError, LookupError, AttributeError, TypeError):
        return None


def _index(part: str) -> int:
    if not re.fullmatch("[0-9]+", part):
        raise LookupError(f"{part} is no number")
    return int(part)


def _block(tree: Any, indent: str = "") -> str:  # noqa: ANN401 - a tree of YAML texts
    """YAML with every value in lines of its own."""
    if isinstance(tree, dict):
        return "".join(f"{indent}{json.dumps(key)}:\n{_block(value, indent + '  ')}" for key, value in tree.items())
    if isinstance(tree, list):
        return "".join(f"{indent}-\n{_block(value, indent + '  ')}" for value in tree)
    return re.sub(rf"(^|{_LINE_ENDS})(?!{_LINE_ENDS})", rf"\1{indent}", tree) + "\n"


def read_steps(path: Path) -> object:
    """A run's steps, and again from the lines that hdna would write of them."""
    path.rename(path.with_name(METRICS))
    steps = read_metrics(str(path.parent))
    return [asdict(step) for step in steps], [StepRecord.from_line(step.to_line()) == step for step in steps]


def metrics_meaning(data: bytes) -> object:
    steps = text_meanings.metrics(data)
    return steps, [True] * len(steps)


FASTA = TextDoor("fasta", read_letters, text_meanings.fasta)
FASTA_GZIP = TextDoor("fasta.gz", read_letters, text_meanings.fasta)
GENOME = TextDoor("genome", read_genome, text_meanings.fasta, corpus="fasta")
BED = TextDoor("bed", read_splits, lambda data: text_meanings.bed(data, CONTIGS))
RECIPE = TextDoor("recipe", read_recipe_file, recipe_meaning, decides=False)
OVERRIDE = TextDoor("override", read_override, override_meaning)
METRICS_LINES = TextDoor("metrics", read_steps, metrics_meaning)
REPORT = TextDoor("report", read_report, report_meaning)
DOORS = {door.name: door for door in (FASTA, FASTA_GZIP, GENOME, BED, RECIPE, OVERRIDE, METRICS_LINES, REPORT)}

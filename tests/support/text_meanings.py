"""What texts mean, read naively from the documentation alone: the other opinion that fuzzing compares hdna's with.

`None`: the documentation refuses the text.
"""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import yaml

from support.fasta_files import BGZIP_END

SCHEMA = json.loads((Path(__file__).parents[2] / "recipes" / "recipe.schema.json").read_text(encoding="utf-8"))
_NUCLEOTIDES = set(b"ACGTUNRYSWKMBDHV")
SPLITS = {"train": "T", "valid": "V", "test": "E"}
_COUNTS = (
    "step",
    "tokens",
    "stage",
    "context_length",
    "sequence_parallel",
    "predicted_bases",
    "skipped",
    "workers",
    "bucket_read_bytes",
    "bucket_written_bytes",
    "valid_bases",
)
_MEASURES = (
    "loss",
    "bits_per_base",
    "learning_rate",
    "grad_norm",
    "tokens_per_second",
    "tflops_per_worker",
    "mfu",
    "data_wait_fraction",
    "memory_gib",
    "seconds",
    "valid_loss",
    "valid_bits_per_base",
)

Records = list[tuple[str, bytes]]
Columns = dict[str, Any]
Values = dict[str, Any]


def plain(data: bytes) -> bytes | None:
    """The text of a file, which may be gzip (docs/data.md)."""
    if data[:2] != b"\x1f\x8b":
        return data
    text, is_bgzip = b"", len(data) > 3 and bool(data[3] & 4) and data[12:14] == b"BC"
    while data:
        member = zlib.decompressobj(31)
        try:
            text += member.decompress(data)
        except zlib.error:
            return None
        if not member.eof or (is_bgzip and not member.unused_data and data != BGZIP_END):
            return None
        data = member.unused_data
    return text


def fasta(data: bytes) -> Records | None:
    """Header lines and letters (docs/data.md)."""
    text = plain(data)
    before, *chunks = (b"\n" + (text or b"").replace(b"\r\n", b"\n")).split(b"\n>")
    records = [_record(chunk) for chunk in chunks]
    found = [record for record in records if record]
    names = {header.encode().split()[0] for header, _ in found}
    return found if found and len(names) == len(records) and not before.strip(b"\n") else None


def _record(chunk: bytes) -> tuple[str, bytes] | None:
    header, _, lines = chunk.partition(b"\n")
    letters = lines.replace(b"\n", b"")
    if not letters or not set(letters.upper()) <= _NUCLEOTIDES:
        return None
    if len(header) > 1 << 16 or not header or header[:1] in b">\t\v\f " or b"\0" in header or b"\r" in header:
        return None
    try:
        return header.decode(), letters
    except UnicodeDecodeError:
        return None


def bed(data: bytes, contigs: dict[str, int]) -> dict[str, str] | None:
    """The split of every base of every contig by its letter in SPLITS, "." where none is given (docs/data.md)."""
    text = (plain(data) or b"").decode(errors="replace").replace("\r\n", "\n")
    intervals = [_interval(line) for line in text.split("\n") if line.strip() and not _is_for_browsers(line)]
    bases = {contig: "." * length for contig, length in contigs.items()}
    for interval in intervals:
        contig, start, end, split = interval or ("", 0, 0, "")
        if not 0 <= start < end <= contigs.get(contig, 0) or not set(bases[contig][start:end]) <= {".", split}:
            return None
        bases[contig] = bases[contig][:start] + split * (end - start) + bases[contig][end:]
    return bases if intervals and "\r" not in text else None


def _is_for_browsers(line: str) -> bool:
    return bool(re.match(r"#|\s*(track|browser)(?!\s+\d+\s+\d+\s+\S)(\s|$)", line))


def _interval(line: str) -> tuple[str, int, int, str] | None:
    fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())][:4]
    if len(fields) < 4 or fields[3] not in SPLITS:
        return None
    if not all(re.fullmatch("[0-9]{1,18}", field) for field in fields[1:3]):
        return None
    return fields[0], int(fields[1]), int(fields[2]), SPLITS[fields[3]]


def recipe(data: bytes) -> Values | None:
    """Every key's value: what is written, or else the schema's default (docs/recipes.md).

    Not every reason to refuse a recipe is known here.
    """
    text = data.decode()
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None) or "${" in getattr(event, "value", ""):
            return None
    tree = _tree(yaml.compose(text, Loader=yaml.BaseLoader))
    workers = tree.get("parallel", {}).get("workers")
    if isinstance(workers, dict):
        tree["parallel"] |= {"workers": workers["max"], "min_workers": workers["min"]}
    values: Values = _as_typed(SCHEMA, tree)
    ends, contexts = ([stage[key] for stage in values["curriculum"]] for key in ("until_tokens", "context_length"))
    return values if max(contexts) <= values["model"]["l_max"] and ends == sorted(set(ends)) else None


def _tree(node: yaml.Node | None) -> Any:  # noqa: ANN401 - a tree of texts
    """A document's texts. Raises AssertionError for a key that is given twice."""
    if isinstance(node, yaml.MappingNode):
        tree = {key.value: _tree(value) for key, value in node.value}
        assert len(tree) == len(node.value), "a key is given twice"
        return tree
    return [_tree(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else node and node.value


def _as_typed(kind: Values, written: Any) -> Any:  # noqa: ANN401 - a tree of plain values
    """A tree of texts as a part of the schema types it."""
    types = kind["type"]
    if types == "object":
        return {
            key: _as_typed(inner, written[key]) if key in written else inner.get("default", _defaults(inner))
            for key, inner in kind["properties"].items()
        }
    if types == "array":
        return [_as_typed(kind["items"], item) for item in written]
    if types == ["array", "string"]:  # a single one needs no brackets
        return [_as_typed(kind["items"], item) for item in ([written] if isinstance(written, str) else written)]
    if types == "boolean":
        return written.lower() == "true"
    if types == "string":
        return written
    if "null" in types and written.lower() in ("", "~", "null"):
        return None
    number = written.replace("_", "")
    return int(number) if "integer" in types and re.fullmatch("[-+]?[0-9]+", number) else float(number)


def _defaults(kind: Values) -> Any:  # noqa: ANN401 - a tree of plain values
    return _as_typed(kind, {}) if kind["type"] == "object" else None


def metrics(data: bytes) -> list[Columns]:
    """The columns of each line that counts, by the table of docs/training.md; None where there is no number."""
    lines = [_json_object(_without_nan(line)) for line in data.splitlines()]
    return [_columns(line) for line in lines if all(_is_count(line.get(name)) for name in _COUNTS[:4])]


def _without_nan(line: bytes) -> bytes:
    """What Python's json once wrote of numbers that were not finite."""
    return re.sub(rb": -?(NaN|Infinity)", b": null", line)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _columns(line: Values) -> Columns:
    counts: Columns = {name: line[name] if _is_whole(line.get(name)) else None for name in _COUNTS}
    counts["time"] = line["time"] if _is_utc(line.get("time")) else None
    counts["valid_bits_by_context"] = _by_context(line.get("valid_bits_by_context"))
    counts["valid_sets"] = _by_set(line.get("valid_sets"))
    return counts | {name: float(line[name]) if is_number(line.get(name)) else None for name in _MEASURES}


def _by_context(value: object) -> dict[str, float] | None:
    """Numbers by context length."""
    if not isinstance(value, dict) or not value:
        return None
    right = all(re.fullmatch("[1-9][0-9]{0,17}", key) and is_number(bits) for key, bits in value.items())
    return {key: float(bits) for key, bits in value.items()} if right else None


def _by_set(value: object) -> Columns | None:
    """Scores by assembly: numbers, or null."""
    if not isinstance(value, dict) or not all(isinstance(own, dict) for own in value.values()):
        return None
    return {name: _set_score(own) for name, own in value.items()}


def _set_score(own: Values) -> Columns:
    bits = {
        name: float(own[name]) if is_number(own.get(name)) else None for name in ("bits_per_base", "unique", "repeats")
    }
    return bits | {"bases": int(own["bases"]) if _is_whole(own.get("bases")) else None}


def _is_whole(value: object) -> bool:
    return is_number(value) and value == int(value)  # type: ignore[call-overload]


def _is_utc(value: object) -> bool:
    """As in 2026-01-31T12:00:00Z."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value) is not None
    )


def is_number(value: object) -> bool:
    """Whether a JSON value is a number that a float can hold."""
    return type(value) in (int, float) and abs(value) <= 1.7976931348623157e308  # type: ignore[arg-type]


def _json_object(text: bytes) -> Values:
    """An object that JSON's own grammar allows, else nothing: no NaN, no half characters, no numbers past a float."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        value = json.loads(text.decode(), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def run_json(data: bytes | None) -> Values:
    """One of a run's JSON files; nothing if there is none or it is damaged, for a run can do without."""
    return _json_object(data or b"")

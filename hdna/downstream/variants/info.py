"""The INFO entries that a scored record gets, and their definitions."""

from collections.abc import Sequence

from hdna.downstream.variants.scores import Score
from hdna.downstream.variants.vcf import INFO
from hdna.downstream.variants.windows import Geometry

_MARK = b"HDNA_"
_DEFINITION = b"##INFO=<ID=" + _MARK
_PROVENANCE = b"##hdna="


def scored_header(header: Sequence[bytes], weights: str, geometry: Geometry, method: str) -> bytes:
    """The header's text with the definitions before the line of columns; those of earlier scores are dropped.

    `weights`: the checkpoint's checksum; `method`: how scores were computed.
    """
    kept = [line for line in header[:-1] if not line.startswith((_DEFINITION, _PROVENANCE))]
    context, horizon = geometry.context, geometry.horizon
    entries = (
        ("LLR", "A", "Float", "Log-likelihood ratio of the allele, alternative minus reference, nats, mean of strands"),
        ("CONTEXT", "A", "Integer", "Bases read before the allele, the lesser of both strands"),
        ("HORIZON", "A", "Integer", "Positions compared from the allele on, the lesser of both strands"),
        ("REFUSED", ".", "String", "Why an allele has no score, for each in order; a dot for those that have one"),
    )
    lines = [
        f'##INFO=<ID=HDNA_{name},Number={number},Type={kind},Description="{text}">'
        for name, number, kind, text in entries
    ]
    said = f"##hdna=weights sha256:{weights}; context {context}; horizon {horizon}; by {method}; both strands"
    return b"\n".join([*kept, *(line.encode() for line in [said, *lines]), header[-1], b""])


def scored_line(fields: list[bytes], results: Sequence[Score | str]) -> bytes:
    """A record with its scores, one for each alternative; those of an earlier command are replaced."""
    kept = [entry for entry in fields[INFO].split(b";") if entry != b"." and not entry.startswith(_MARK)]
    return b"\t".join([*fields[:INFO], b";".join([*kept, _entries(results).encode()]), *fields[INFO + 1 :]]) + b"\n"


def _entries(results: Sequence[Score | str]) -> str:
    scores = [result if isinstance(result, Score) else None for result in results]
    entries = []
    if any(scores):
        entries += [
            "HDNA_LLR=" + ",".join(f"{score.ratio:.6f}" if score else "." for score in scores),
            "HDNA_CONTEXT=" + ",".join(str(score.context) if score else "." for score in scores),
            "HDNA_HORIZON=" + ",".join(str(score.horizon) if score else "." for score in scores),
        ]
    if not all(scores):
        entries.append("HDNA_REFUSED=" + ",".join(r if isinstance(r, str) else "." for r in results))
    return ";".join(entries)

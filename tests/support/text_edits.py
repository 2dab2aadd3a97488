"""Texts that are almost right: a seed with a few edits, as a typo, a wrong tool or somebody hostile would make them."""

import gzip
import io
import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from support.fuzzing import SECRET_URL

_NUMBERS_OF_EDITS = (1, 1, 1, 2, 2, 3)
_PIECES = {
    "line": rb"[^\n]*\n?",
    "field": rb"[^\s,:=\[\]{}\"']+",
    "number": rb"[-+]?[0-9]+(?:(?:[._]|[eE][-+]?)[0-9]+)*",
    "whole number": rb"(?<![0-9.])[0-9]{1,18}(?![0-9.])",
    "byte": rb"(?s:.)",
}
NUMBERS = (
    b"0", b"-1", b"1", b"2", b"64", b"512", b"0.5", b"1" + b"0" * 30, b"1" + b"0" * 400, b"9223372036854775807",
    b"9223372036854775808", b"1e400", b"1e-400", b"1e308", b"-1e308", b"5e-324", b"nan", b"NaN", b"Infinity", b".inf",
    b"-.inf", b"0x10", b"1_000", b"1_e5", b"010", b"2.0", b"2.5", b"true", b"1:30", b"\xef\xbc\x95", b"\xd9\xa5",
    b"9" * 5_000, b"1" * 100_000 + b"x",
)  # fmt: skip
CHARACTERS = (
    b"\0", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b" ", b"\x0c", b"\x1b", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff",
    b"\xc2\xa0", b"\xc2\x85", b"\xe2\x80\xa8", b"0", b"x", b"U", b"u", b"-", b"*", b".", b">", b"<", b"&", b"'", b'"',
    b"#", b"=", b":", b",", b"[", b"]", b"{", b"}", b"|",
)  # fmt: skip
WORDS = (
    b"\x1b[31m", b"\"\\e[31m\"", b"\"\\ud800\"", b"<script>alert(1)</script>", b"&lt;b&gt;", b"-->",
    b"!!python/object/apply:os.system ['true']", b"!!binary", b"&a", b"*a", b"<<: *a", b"${oc.env:HOME}", b"${a",
    b"???", b"null", b"~", b"true", b"'1_e5'", b"'null'", b"[]", b"{}", b"[[]]", b"{a: {a: 1}}", b"- 1", b"? 1",
    b"--- 1", b"...", b"%YAML 1.1", b"..", b"[0]", b"../x", b"/etc/passwd", SECRET_URL.encode(), b"a" * 3_000,
    b"x" * 100_000, b"\n" * 100_000, b"[" * 100_000, b'{"a":' * 100_000, b"{a: " * 100_000, b"- " * 100_000,
    b"[" * 900 + b"]" * 900,
)  # fmt: skip

Edit = Callable[[st.DrawFn, bytes, Sequence[bytes]], bytes]
"""From a text and the seeds to another text."""


@st.composite
def edited(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed with one to three edits."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.sampled_from(_NUMBERS_OF_EDITS))):
        text = draw(st.sampled_from(_EDITS))(draw, text, seeds)
    return text


@st.composite
def edited_gzip(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """An edited seed in one or two members of a gzip file, whose own bytes are edited too in a part of the cases."""
    text, name = draw(edited(seeds)), draw(st.sampled_from(["", "x", "ABC", "ABBC"]))
    border = draw(st.integers(0, len(text)))
    packed = b"".join(_gzip(part, name) for part in (text[:border], text[border:]) if part or not text)
    return draw(st.sampled_from((_unchanged, _unchanged, _unchanged, _flipped, _cut)))(draw, packed, seeds)


def _gzip(text: bytes, name: str) -> bytes:
    """A member of a gzip file; it keeps the name of the file it was made of."""
    file = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(text)
    return file.getvalue()


def _odd(kind: str, odd: Sequence[bytes]) -> Edit:
    """Another number, word, line or byte than is written."""
    return lambda draw, text, seeds: _replaced(draw, text, kind, lambda piece: draw(st.sampled_from(odd)))


def _moved(kind: str) -> Edit:
    """A piece gone, doubled, or replaced by another one."""

    def edit(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
        others = st.sampled_from(re.findall(_PIECES[kind], text) or [b""])
        return _replaced(draw, text, kind, lambda piece: draw(st.sampled_from((b"", piece * 2, draw(others)))))

    return edit


def _neighbouring(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    """A whole number a little larger or smaller."""
    return _replaced(draw, text, "whole number", lambda piece: b"%d" % (int(piece) + draw(st.integers(-10, 10))))


def _replaced(draw: st.DrawFn, text: bytes, kind: str, new: Callable[[bytes], bytes]) -> bytes:
    """The text with one of its pieces replaced, if there is any."""
    spans = [found.span() for found in re.finditer(_PIECES[kind], text)]
    if not spans:
        return text
    begin, end = draw(st.sampled_from(spans))
    return text[:begin] + new(text[begin:end]) + text[end:]


def _inserted(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.sampled_from(CHARACTERS) | st.binary(min_size=1, max_size=4)) + text[place:]


def _flipped(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    """One bit flipped."""
    if not text:
        return text
    place = draw(st.integers(0, len(text) - 1))
    return text[:place] + bytes([text[place] ^ 1 << draw(st.integers(0, 7))]) + text[place + 1 :]


def _cut(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    begin, length = draw(st.integers(0, len(text))), draw(st.integers(1, 20))
    return text[:begin] + text[begin + length :]


def _unchanged(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    return text


def _spliced(draw: st.DrawFn, text: bytes, seeds: Sequence[bytes]) -> bytes:
    """The beginning of the text and the end of a seed."""
    other = draw(st.sampled_from(seeds))
    return text[: draw(st.integers(0, len(text)))] + other[draw(st.integers(0, len(other))) :]


_EDITS: tuple[Edit, ...] = (
    *[_neighbouring] * 3,
    *[_odd("number", NUMBERS)] * 2,
    *[_odd("field", WORDS)] * 2,
    _odd("line", WORDS),
    _odd("byte", CHARACTERS),
    _moved("field"),
    *[_moved("line")] * 2,
    _moved("byte"),
    _inserted,
    _flipped,
    _cut,
    _spliced,
)
"""Some more often than others: those that leave most texts acceptable."""

"""Command lines that cannot be carried out: one line that says what, where and what to do; nothing written, no hang."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.bad_commands import SECRET, Words, bad_commands, make_place, odd_overrides
from support.files import bytes_of
from support.forked_command import Ended, run_command
from support.fuzzing import MAX_SECONDS, SEED, TRIALS

MAX_CHARACTERS = 1100
"""InputError allows 1,000; `hdna: error: ` comes before it."""
REFUSED, ACCEPTED = "one line, status 1 or 2", "accepted"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    make_place(folder)
    return folder


def verdict(words: Words, ended: Ended) -> str:
    """What became of a command line, or what is wrong with the answer."""
    text = ended.out + ended.err
    if ended.status is None:
        return f"HANGS: more than {MAX_SECONDS:.0f} s"
    if "Traceback" in text:
        return f"TRACEBACK: {text.splitlines()[-1]}"
    if SECRET in text:
        return "SECRET shown"
    if ended.status == 0:
        return ACCEPTED
    if ended.status not in (1, 2) or len(text.splitlines()) != 1 or len(text) > MAX_CHARACTERS:
        return f"NOT ONE LINE, status {ended.status}: {text[:300]}"
    if text.removeprefix("hdna: error: ").count(": ") < 1:
        return f"NO ADVICE: {text}"
    return REFUSED


def try_all(name: str, commands: Sequence[Words], place: Path) -> list[str]:
    """Run them all, print a row of figures, and return what is wrong."""
    before = {*bytes_of(place)}
    counts: Counter[str] = Counter()
    findings = []
    for words in commands:
        result = verdict(words, run_command(words, place, MAX_SECONDS))
        if result == REFUSED and {*bytes_of(place)} != before:
            result = f"WRITES {sorted({*bytes_of(place)} - before)}"
        counts[result if result in (REFUSED, ACCEPTED) else "FINDINGS"] += 1
        if result not in (REFUSED, ACCEPTED):
            findings.append(f"{' '.join(words)[:120]!r}: {result}")
    print(f"\n{name}: {len(commands):,} command lines: {dict(counts)}")
    return findings


def test_every_argument_of_every_command_refuses_odd_paths_and_numbers(place: Path) -> None:
    commands = sample(list(bad_commands()))
    assert try_all("odd paths and numbers", commands, place) == []


def test_every_key_of_a_recipe_refuses_odd_values_or_takes_them(place: Path) -> None:
    assert try_all("odd values of recipe keys", sample(list(odd_overrides())), place) == []


def sample(commands: list[Words]) -> list[Words]:
    """As many as the trials allow, the same ones for the same seed."""
    return random.Random(SEED).sample(commands, min(len(commands), TRIALS))

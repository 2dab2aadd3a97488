"""Coverage-guided fuzzing of one text door: libFuzzer looks for texts that reach new lines of hdna.

    python tests/fuzz/guided.py DOOR [libFuzzer options]      make fuzz-guided SECONDS=60

It starts from the door's seeds, keeps what it learns in work/fuzz/DOOR, and ends at the first finding, whose text it
leaves there. Mend the cause, and add the text to tests/fuzz/seeds.
"""

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

with atheris.instrument_imports(include=["hdna", "hdna_prep", "yaml"]):
    from support.fuzzing import FINDINGS
    from support.text_doors import DOORS
    from support.text_edits import CHARACTERS, NUMBERS, WORDS

MAX_WORD_BYTES = 64
"""Of libFuzzer's dictionary."""


def main() -> None:
    """Fuzz the door named on the command line until libFuzzer's options say that it is enough."""
    if len(sys.argv) < 2 or sys.argv[1] not in DOORS:
        sys.exit(f"usage: {sys.argv[0]} {{{','.join(DOORS)}}} [libFuzzer options]")
    door, options = DOORS[sys.argv[1]], sys.argv[2:]
    folder = ROOT / "work" / "fuzz" / door.name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    (folder / "words").write_text(
        "".join(f'"{quoted(word)}"\n' for word in (*CHARACTERS, *NUMBERS, *WORDS) if len(word) <= MAX_WORD_BYTES)
    )

    def read(text: bytes) -> None:
        outcome, reason = door.outcome(text)
        if outcome in FINDINGS:
            raise AssertionError(f"{outcome} {reason}")

    seeds = door.seeds()[0].parent
    ours = [f"-dict={folder}/words", f"-artifact_prefix={folder}/", "-timeout=0", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *ours, *options, str(folder / "corpus"), str(seeds)], read)
    atheris.Fuzz()


def quoted(word: bytes) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()

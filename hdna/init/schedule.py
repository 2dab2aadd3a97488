"""How long, at which contexts and in what batches: integers from sizes, without a genome or a machine.

Lengths are powers of two, whose FFTs are fastest and which divide each other.
"""

from dataclasses import dataclass

from hdna.config import Stage

MIN_TOKENS = 1 << 21
"""Fewer teach a model of any size little more than composition (`quickstart` trains 3 million)."""
MAX_PASSES = 8
"""Over the train split. Up to four, repeated text teaches nearly as much as new text (Muennighoff and others, arXiv
2305.16264), and each pass reads half of the crops on the other strand."""
STEPS = 4000
"""At least about so many, if the batch can be that small: small models learn from updates (`demo` has 4,395)."""
MIN_STEPS = 1000
"""Of the longest context, if it were the only one: else too few updates for what is new in it."""
FIRST_CONTEXT = 1024
_MIN_BATCH, _MAX_BATCH = 1 << 11, 1 << 20
_STRIDE = 4
"""From a stage's context to the next one's."""
MIN_WINDOWS = 64
"""In a set, so that valid and test have several each."""
MAX_WINDOW, _MIN_WINDOW = 1 << 20, 1 << 7


@dataclass(frozen=True)
class Schedule:
    """Stages whose micro-batches are to be chosen, and the batch of all."""

    stages: list[Stage]
    batch: int
    """Tokens a step."""

    @property
    def tokens(self) -> int:
        """Of the whole run."""
        return self.stages[-1].until_tokens

    @property
    def context(self) -> int:
        """The longest."""
        return self.stages[-1].context_length


def window_of(contigs: list[int]) -> int:
    """Bases of a window: at most N50, so that half of the genome is in whole ones, and enough windows in all."""
    return max(_MIN_WINDOW, min(MAX_WINDOW, power_below(n50(contigs)), power_below(sum(contigs) // MIN_WINDOWS)))


def n50(contigs: list[int]) -> int:
    """The length that contigs of at least it hold half of all bases."""
    rest = sum(contigs) / 2
    for length in sorted(contigs, reverse=True):
        rest -= length
        if rest <= 0:
            return length
    raise ValueError("no contigs")


def default_tokens(train_bases: int) -> int:
    """Tokens of one pass; of a small genome's train split, as many passes as make MIN_TOKENS, up to MAX_PASSES."""
    return max(train_bases, min(MIN_TOKENS, MAX_PASSES * train_bases))


def schedule(tokens: int, longest: int, workers: int) -> Schedule:
    """Contexts of up to `longest`, a power of two, and batches of at least a sample of it for each worker."""
    ranks = 1 << (workers - 1).bit_length()
    enough_steps = power_below(max(1, tokens // MIN_STEPS // ranks))
    context = min(longest, max(FIRST_CONTEXT, enough_steps))
    batch = max(context * ranks, min(_MAX_BATCH, max(_MIN_BATCH, power_below(max(1, tokens // STEPS)))))
    steps = max(1, tokens // batch)
    contexts = _contexts(context)[-steps:]
    return Schedule(_halved(contexts, steps, batch), batch)


def _halved(contexts: list[int], steps: int, batch: int) -> list[Stage]:
    """Each stage has half of the steps that are left, the last one all; each at least one."""
    stages, done = [], 0
    for number, context in enumerate(contexts):
        following = len(contexts) - number - 1
        left = steps - done
        done += left if not following else max(1, min(left // 2, left - following))
        stages.append(Stage(context, done * batch))
    return stages


def _contexts(longest: int) -> list[int]:
    contexts = [min(FIRST_CONTEXT, longest)]
    while contexts[-1] < longest:
        contexts.append(min(contexts[-1] * _STRIDE, longest))
    return contexts


def power_below(number: int) -> int:
    """The largest power of two that is at most `number` >= 1."""
    return 1 << max(1, number).bit_length() - 1

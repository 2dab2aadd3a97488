"""What an exported directory promises, checked with `transformers` alone, in a process that cannot import hdna.

    python -I without_hdna.py FOLDER

FOLDER holds `model`, the exported directory, and `expected.safetensors`, made with hdna by `support/exported.py`:
`input_ids` (B, L), their `logits` and `hidden`, `loss`, and `letters` (bytes of a sequence) with their `letter_ids`.
What documents show is in `examples.json`.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class _NoHdna:
    """An import hook: whoever asks for hdna learns that it is not there."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in ("hdna", "hdna_prep", "hdna_cluster"):
            raise ImportError(f"{name} is not in this environment")


sys.meta_path.insert(0, _NoHdna())
_SCRATCH = tempfile.TemporaryDirectory(prefix="without-hdna-")
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": _SCRATCH.name, "HF_MODULES_CACHE": f"{_SCRATCH.name}/modules"}

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

FOLDER = Path(sys.argv[1]).absolute()
MODEL = FOLDER / "model"
EXPECTED = load_file(FOLDER / "expected.safetensors")
IDS = EXPECTED["input_ids"]
PAD = 4
SAME = 1e-5
"""Relative: the reference law's, fp32 rounding through several layers."""
BESIDE = 1e-6
"""Relative, of a row beside others: transforms of another size round otherwise."""


def opened(kind: Any = AutoModelForCausalLM, **options: Any) -> Any:  # noqa: ANN401 - transformers has no types
    """The exported model."""
    return kind.from_pretrained(MODEL, trust_remote_code=True, **options).eval()


def error(got: Tensor, wanted: Tensor) -> float:
    """max|a - b| / max|b|."""
    got, wanted = got.detach(), wanted.detach()
    return float((got.float() - wanted.float()).abs().max() / wanted.float().abs().max())


@contextmanager
def refused(words: str) -> Iterator[None]:
    """What happens inside must raise a ValueError that says `words`."""
    try:
        yield
    except ValueError as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(f"not refused: {words}")


def opens_whole_and_gives_the_same_numbers() -> str:
    model = opened()
    _, found = AutoModelForCausalLM.from_pretrained(MODEL, trust_remote_code=True, output_loading_info=True)
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), found
    logits, loss = model(IDS).logits, model(IDS, labels=IDS).loss
    hidden = opened(AutoModel)(IDS).last_hidden_state
    errors = error(logits, EXPECTED["logits"]), error(hidden, EXPECTED["hidden"]), error(loss, EXPECTED["loss"])
    assert max(errors) <= SAME, errors
    states = model(IDS, output_hidden_states=True).hidden_states
    assert len(states) == model.config.n_layer + 1 and torch.equal(states[-1], hidden)
    assert AutoConfig.from_pretrained(MODEL, trust_remote_code=True).hidden_size == hidden.shape[-1]
    return f"logits {errors[0]:.1e}, hidden states {errors[1]:.1e}, loss {errors[2]:.1e}"


def generates_the_same_with_a_cache_and_without() -> str:
    model, prompt = opened(), IDS[:, : IDS.shape[1] // 3]
    count = IDS.shape[1] - prompt.shape[1]
    wanted = prompt
    for _ in range(count):
        wanted = torch.cat((wanted, model(wanted).logits[:, -1:].argmax(-1)), dim=1)
    options = {"max_new_tokens": count, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    seen: list[int] = []
    hook = model.hyena.backbone.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    cached, plain = (model.generate(prompt, use_cache=use, **options) for use in (True, False))
    hook.remove()
    start = prompt.shape[1]
    assert seen == [start, *[1] * (count - 1), *range(start, start + count)], seen
    assert torch.equal(cached.sequences, wanted) and torch.equal(plain.sequences, wanted)
    worst = error(torch.stack(cached.logits), torch.stack(plain.logits))
    assert worst <= SAME, worst
    beams = [
        model.generate(prompt, use_cache=use, num_beams=3, max_new_tokens=8, do_sample=False) for use in (True, False)
    ]
    assert torch.equal(*beams)
    torch.manual_seed(1)
    model.generate(prompt[:1], do_sample=True, max_new_tokens=4, num_return_sequences=2)
    return f"{count} tokens after {start}: logits differ by {worst:.1e}"


def returned_cache(output: Any) -> Any:  # noqa: ANN401
    """Under its name of this version or of earlier ones."""
    return output["cache"] if "cache" in output else output["past_key_values"]


def continues_in_pieces() -> str:
    """Several positions after a cache, one alone among them."""
    model, cache, pieces = opened(), None, []
    for piece in IDS.split([5, 1, 20, 1, IDS.shape[1] - 27], dim=1):
        output = model(piece, past_key_values=cache, use_cache=True)
        cache = returned_cache(output)
        pieces.append(output.logits)
    worst = error(torch.cat(pieces, dim=1), EXPECTED["logits"])
    assert worst <= SAME, worst
    return f"logits {worst:.1e}"


def a_beam_takes_its_own_past() -> str:
    """Rows of a cache in another order go on as those rows do."""
    model, swapped = opened(), IDS.flip(0)
    cache = returned_cache(model(IDS[:, :-2], use_cache=True))
    cache.reorder_cache(torch.arange(len(IDS)).flip(0))
    logits = model(swapped[:, -2:-1], past_key_values=cache, use_cache=True).logits[:, 0]
    worst = error(logits, EXPECTED["logits"].flip(0)[:, -2])
    assert worst <= SAME, worst
    return f"logits {worst:.1e}"


def a_token_costs_less_than_its_context() -> str:
    """In matrix products and short convolutions, which torch counts; not in transforms, which only the whole has."""
    model = opened()
    before, last = IDS[:, :-1], IDS[:, -1:]
    output = model(before, use_cache=True)
    cache = returned_cache(output)
    counts = []
    for inputs in ({"input_ids": last, "past_key_values": cache, "use_cache": True}, {"input_ids": IDS}):
        with FlopCounterMode(display=False) as counter:
            model(**inputs)
        counts.append(counter.get_total_flops())
    assert counts[0] * 10 < counts[1], counts
    return f"{counts[0]:,} operations for one token after {before.shape[1]}, {counts[1]:,} for all"


def lengths() -> list[int]:
    """Of the rows of a batch that is padded."""
    whole = IDS.shape[1]
    return [max(4, whole - 7 * row * whole // 16) for row in range(len(IDS))]


def padded(rows: Sequence[Tensor], side: str) -> dict[str, Tensor]:
    """A batch of rows of unequal lengths; the vectors' own rows may have [PAD] among their tokens."""
    longest = max(map(len, rows))
    blank = [torch.full((longest - len(row),), PAD) for row in rows]
    pairs = [(row, pad) if side == "right" else (pad, row) for row, pad in zip(rows, blank, strict=True)]
    ids = torch.stack([torch.cat(pair) for pair in pairs])
    kept = [(torch.ones(len(row)), torch.zeros(len(pad))) for row, pad in zip(rows, blank, strict=True)]
    mask = torch.stack([torch.cat(pair if side == "right" else pair[::-1]) for pair in kept])
    return {"input_ids": ids, "attention_mask": mask.long()}


def a_row_does_not_know_its_neighbours() -> str:
    model, rows = opened(), [row[:length] for row, length in zip(IDS, lengths(), strict=True)]
    together = model(**padded(rows, "right")).logits
    worst = max(error(found[: len(row)], model(row[None]).logits[0]) for found, row in zip(together, rows, strict=True))
    others = [rows[0], *(row.flip(0) for row in rows[1:])]
    assert torch.equal(model(**padded(others, "right")).logits[0], together[0])
    unmasked = model(padded(rows, "right")["input_ids"]).logits
    worst = max(worst, *(error(a[:n], b[:n]) for a, b, n in zip(unmasked, together, map(len, rows), strict=True)))
    assert worst <= BESIDE, worst
    return f"lengths {[len(row) for row in rows]}: {worst:.1e}"


def prompts_of_unequal_lengths_are_padded_on_the_left() -> str:
    model = opened()
    prompts = [row[: max(3, length // 2)] for row, length in zip(IDS, lengths(), strict=True)]
    options = {"max_new_tokens": 6, "do_sample": False}
    batch = padded(prompts, "left")
    for use_cache in (True, False):
        together = model.generate(**batch, use_cache=use_cache, **options)
        for row, prompt in zip(together, prompts, strict=True):
            assert torch.equal(row[-6:], model.generate(prompt[None], **options)[0, -6:])
    with refused("pad prompts on the left"):
        model.generate(**padded(prompts, "right"), **options)
    return f"lengths {[len(prompt) for prompt in prompts]}"


def documents_show_what_works() -> str:
    os.chdir(FOLDER)
    examples = json.loads(Path("examples.json").read_text())
    for example in examples:
        found: dict[str, Any] = {}
        exec(example, found)  # of the project's own documents
        assert found["logits"].shape == (2, 12, 16)
    return f"{len(examples)} examples"


def reads_letters_as_hdna_does() -> str:
    tokenizer = AutoTokenizer.from_pretrained(MODEL, trust_remote_code=True)
    letters = bytes(EXPECTED["letters"].tolist()).decode()
    assert tokenizer(letters)["input_ids"] == EXPECTED["letter_ids"].tolist()
    assert tokenizer("x?\n\nA é")["input_ids"] == [6, 6, 6, 6, 7, 6, 6]
    assert tokenizer.decode(tokenizer("acgtnU")["input_ids"]) == "ACGTNT"
    assert tokenizer("[MASK]A[PAD]")["input_ids"] == [3, 7, 4]
    batch = tokenizer(["acgt", "AC"], padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [7, 8, 4, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert set(batch) == {"input_ids", "attention_mask"} and tokenizer.model_max_length == opened().config.max_seq_len
    assert tokenizer(["acgt", "AC"], padding=True, padding_side="left")["input_ids"][1] == [4, 4, 7, 8]
    return f"{len(letters)} letters"


def classifies_by_the_last_base() -> str:
    torch.manual_seed(0)
    model = opened(AutoModelForSequenceClassification, num_labels=3)
    rows = [row[:length] for row, length in zip(IDS, lengths(), strict=True)]
    batch = padded(rows, "right")
    together = model(**batch).logits
    assert together.shape == (len(rows), 3)
    alone = torch.cat([model(row[None]).logits for row in rows])
    hidden = torch.stack([opened(AutoModel)(row[None]).last_hidden_state[0, -1] for row in rows])
    worst = max(error(together, alone), error(together, hidden @ model.score.weight.T))
    worst = max(
        worst, error(model(batch["input_ids"]).logits, together), error(model(**padded(rows, "left")).logits, alone)
    )
    assert worst <= BESIDE, worst
    model.train()
    model(**batch, labels=torch.arange(len(rows)) % 3).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    return f"{worst:.1e}"


def runs_in_bf16_with_its_filter_in_fp32() -> str:
    """bf16 has three digits: logits to 5 %, far from what a filter without its positions would give."""
    errors = []
    for model in (opened(dtype=torch.bfloat16), opened().to(torch.bfloat16)):
        assert model.get_input_embeddings().weight.dtype == torch.bfloat16
        filter_fn = model.hyena.backbone.layers[0].mixer.filter_fn
        assert all(t.dtype == torch.float32 for t in (*filter_fn.parameters(), *filter_fn.buffers()))
        errors.append(error(model(IDS).logits, EXPECTED["logits"]))
        model.generate(IDS[:, :9], max_new_tokens=2, do_sample=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        errors.append(error(opened()(IDS).logits, EXPECTED["logits"]))
    assert max(errors) < 0.05, errors
    return ", ".join(f"{found:.1e}" for found in errors)


def trains_and_is_saved_again() -> str:
    model = opened()
    gradients = []
    for recompute in (False, True):
        if recompute:
            model.gradient_checkpointing_enable()
        model.train()
        model.hyena.backbone.dropout.p = 0.0
        model.zero_grad()
        model(IDS, labels=IDS).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    assert all(error(gradients[1][name], gradient) <= BESIDE for name, gradient in gradients[0].items())
    again = FOLDER / "again"
    model.save_pretrained(again)
    with safe_open(MODEL / "model.safetensors", "pt") as first, safe_open(again / "model.safetensors", "pt") as second:
        left_out = set(first.keys()) - set(second.keys())
    assert all(key.endswith((".3.freq", ".5.freq", "lm_head.weight")) for key in left_out), left_out
    assert torch.equal(
        AutoModelForCausalLM.from_pretrained(again, trust_remote_code=True).eval()(IDS).logits, opened()(IDS).logits
    )
    return f"{len(gradients[0])} gradients"


def too_long_a_sequence_is_refused() -> str:
    model = opened()
    limit = model.config.max_seq_len
    with refused(f"this model's filter ends at {limit}"):
        model(torch.full((1, limit + 1), 7))
    model(torch.full((1, limit), 7))
    return f"{limit + 1:,} positions"


CHECKS: tuple[Callable[[], str], ...] = (
    opens_whole_and_gives_the_same_numbers,
    generates_the_same_with_a_cache_and_without,
    continues_in_pieces,
    a_beam_takes_its_own_past,
    a_token_costs_less_than_its_context,
    a_row_does_not_know_its_neighbours,
    prompts_of_unequal_lengths_are_padded_on_the_left,
    documents_show_what_works,
    reads_letters_as_hdna_does,
    classifies_by_the_last_base,
    runs_in_bf16_with_its_filter_in_fp32,
    trains_and_is_saved_again,
    too_long_a_sequence_is_refused,
)


def main() -> None:
    """Run every check and print a line for each."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for check in CHECKS:
        with torch.set_grad_enabled(check in (classifies_by_the_last_base, trains_and_is_saved_again)):
            print(f"{check.__name__.replace('_', ' ')}: {check()}", flush=True)
    assert not [name for name in sys.modules if name.split(".")[0] == "hdna"]
    print(f"all of it with transformers {transformers.__version__}, without hdna")


if __name__ == "__main__":
    main()

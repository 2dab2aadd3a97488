"""The card of exported weights: what they were trained on, how far, how well, at what cost, and what they cannot do.

Cards are published, so of a URL only the last names are said, which no machine or bucket can be guessed from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hdna import __version__
from hdna.checkpoint import LoadedCheckpoint, run_of
from hdna.checkpoint.listing import checkpoint_manifest
from hdna.config import RunConfig, Stage
from hdna.errors import InputError
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna.model.flops import parameter_count
from hdna.report import markdown
from hdna.report.history import History, read_history
from hdna.report.ledger import cost_table, explanation
from hdna.report.tables import STAGE_COLUMNS, ladder, stage_rows
from hdna.run.files import ENVIRONMENT, WEIGHTS_FROM, read_json, read_metrics

CARD = "README.md"
_FRONT = """\
---
# The licence of the weights is for you to choose; the run does not know it.
license: unknown
library_name: {library}
pipeline_tag: text-generation
tags: [dna, genomics, hyenadna]
---"""
_USE = {
    "hf": """
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "path/to/this/folder"
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
batch = tokenizer(["ACGTTGCAACGT", "acgt"], padding=True, return_tensors="pt")
logits = model(**batch).logits  # (2, 12, 16): position i scores the base at i + 1
""",
    "standalone": """
import json
from safetensors.torch import load_file
from standalone_hyenadna import HyenaDNAModel  # the published standalone file

model = HyenaDNAModel(**json.load(open("config.json")))
model.load_state_dict(load_file("model.safetensors"), strict=True)
hidden = model.eval()(input_ids)  # logits: hidden @ model.backbone.embeddings.word_embeddings.weight.T
""",
}
_UNREACHED = "not reached when this card was written"


@dataclass(frozen=True)
class Subject:
    """What a card is about, read once."""

    checkpoint: LoadedCheckpoint
    config: RunConfig
    run_url: str | None
    history: History | None
    """Up to the checkpoint's step; None for an import, or a checkpoint copied away from its run."""
    sets: list[ShardSet | str]
    """The shard sets of the recipe, or why one is not known."""

    @property
    def name(self) -> str:
        """The last part of the run's URL, or of the checkpoint's."""
        return _last_names(self.run_url or self.checkpoint.url, 1)


def read_subject(checkpoint: LoadedCheckpoint, config: RunConfig) -> Subject:
    """Gather what is known about the weights of a checkpoint, whose recipe is `config`."""
    run_url = run_of(checkpoint.url)
    history = None
    if run_url is not None and read_metrics(run_url):
        history = read_history(run_url).up_to(checkpoint.state.step)
    checksums = checkpoint.state.data
    sets = [_shard_set(url, checksums.get(str(number))) for number, url in enumerate(config.data.shards) if checksums]
    return Subject(checkpoint, config, run_url, history if history and history.steps else None, sets)


def model_card(subject: Subject, layout: str) -> str:
    """The card in Markdown, for a directory in the layout `hf` or `standalone`."""
    library = "transformers" if layout == "hf" else "pytorch"
    blocks = [
        _FRONT.format(library=library),
        f"# {markdown.text(subject.name)}",
        _introduction(subject),
        markdown.facts(_geometry(subject.config)),
        "## Use",
        markdown.code(_USE[layout]),
        *_data(subject),
        *_training(subject),
        "## Where the weights come from",
        markdown.bullets(_sources(subject)),
        "## Licence",
        "Not stated by the run: set `license` at the top of this card before you publish the weights. Licences of "
        "weights that these began from, and terms of the genomes, may bind you.",
        "## Limits",
        markdown.bullets(_limits(subject)),
    ]
    return "\n\n".join(blocks) + "\n"


def _introduction(subject: Subject) -> str:
    state, model = subject.checkpoint.state, subject.config.model
    return (
        f"A language model of DNA that reads one base at a time: [HyenaDNA](https://arxiv.org/abs/2306.15794) with "
        f"{parameter_count(model):,} parameters, after {state.step:,} steps and {state.tokens:,} tokens. Exported by "
        f"hdna {__version__}."
    )


def _geometry(config: RunConfig) -> Iterator[tuple[str, object]]:
    model = config.model
    yield "Width (d_model)", f"{model.d_model:,}"
    yield "Blocks (n_layer)", f"{model.n_layer:,}"
    yield "Order of the Hyena recurrence", model.order
    yield "Longest context (l_max)", f"{model.l_max:,}"
    if model.extended_from:
        before = ", ".join(f"{l_max:,}" for l_max in model.extended_from)
        yield "Extended from contexts of", f"{before} (positions: {model.filter_positions})"
    yield "Width of the MLP", f"{model.mlp_width:,}"
    yield "Filter: hidden units, positional features", f"{model.filter_order}, {model.emb_dim}"
    yield "Filter: shift of the modulation", model.shift


def _data(subject: Subject) -> Iterator[str]:
    """Nothing if no data are known: an import's recipe has only a placeholder."""
    if not subject.sets:
        return
    yield "## Training data"
    origins = [
        (
            number,
            store.name,
            store.assembly,
            _shown(store.accession),
            _shown(store.contigs and len(store.contigs)),
        )
        for number, found in enumerate(subject.sets)
        if isinstance(found, ShardSet)
        for store in found.provenance.stores
    ]
    if origins:
        yield markdown.table(("Set", "Genome store", "Assembly", "Accession", "Contigs"), origins, 4)
    columns = ("Set", "Name", "Train bases", "Valid bases", "Test bases", "Splits", "Windows left out")
    yield markdown.table(columns, (_set_row(subject, number) for number in range(len(subject.sets))), 2)
    yield markdown.facts(_reading(subject))


def _set_row(subject: Subject, number: int) -> list[object]:
    name, found = _last_names(subject.config.data.shards[number], 1), subject.sets[number]
    if isinstance(found, str):
        return [number, f"{name} ({found})", *[_shown(None)] * 5]
    bases = [f"{found.totals[split].bases:,}" if split in found.totals else "0" for split in ("train", "valid", "test")]
    splits = ", ".join(f"{key}: {value}" for key, value in found.provenance.splits.items())
    dropped = found.provenance.dropped
    return [number, name, *bases, splits, f"{dropped.windows:,} ({dropped.rule})"]


def _reading(subject: Subject) -> Iterator[tuple[str, object]]:
    data = subject.config.data
    for number, checksum in sorted(subject.checkpoint.state.data.items()):
        yield f"sha256 of the manifest of set {number}", checksum
    yield "Shares of the sets", ", ".join(map(str, data.weights)) or "by number of bases"
    yield "Crops read on either strand", "yes" if data.reverse_complement else "no"
    yield "N predicted", "no" if data.ignore_n else "yes"
    yield "Weight of soft-masked bases in the loss", data.repeat_weight


def _training(subject: Subject) -> Iterator[str]:
    history, config = subject.history, subject.config
    if history is None:
        return
    yield "## Training"
    yield markdown.table(
        ("Stage", "Context length", "Planned until token", "Samples x ranks that share one"),
        (
            (number, _contexts(s), f"{s.until_tokens:,}", f"{s.micro_batch_size} x {s.sequence_parallel}")
            for number, s in enumerate(config.curriculum)
        ),
    )
    optim = config.optim
    yield markdown.facts(
        [
            ("Tokens a step", f"{optim.global_batch_tokens:,}"),
            ("AdamW: peak learning rate, weight decay", f"{optim.learning_rate}, {optim.weight_decay}"),
            ("Precision", config.parallel.precision),
            ("Seed", config.run.seed),
            *((name, history.environment[name]) for name in ("hdna", "torch", "device") if name in history.environment),
        ]
    )
    yield "## Bits per base"
    yield markdown.table(STAGE_COLUMNS, stage_rows(history))
    yield markdown.table(("On the valid split", "Bits per base", "Below its order-0 entropy"), ladder(history))
    scored = history.last_scored
    if scored and scored.valid_bases:
        yield (
            f"The last evaluation scored {scored.valid_bases:,} bases of A, C, G and T of the valid split, at a "
            f"context of {history.scored_context:,}. A uniform guess has 2 bits per base."
        )
    if table := cost_table(history):
        yield "## What it took"
        yield markdown.table(*table)
        yield markdown.text(explanation(history))


def _contexts(stage: Stage) -> str:
    return ", ".join(f"{context:,}" for context in (stage.context_length, *stage.shorter_contexts))


def _sources(subject: Subject) -> Iterator[str]:
    checkpoint, config = subject.checkpoint, subject.config
    yield (
        f"Checkpoint {markdown.text(_last_names(checkpoint.url, 3))}, step {checkpoint.state.step:,}, sha256 of its "
        f"manifest {checkpoint.checksum}."
    )
    imported = checkpoint_manifest(checkpoint.url).body.get("imported")
    begun_from = read_json(subject.run_url, ENVIRONMENT).get(WEIGHTS_FROM) if subject.run_url else None
    if isinstance(imported, dict):
        place = markdown.text(_last_names(str(imported.get("from")), 2))
        layout, checksum = (markdown.text(imported.get(key)) for key in ("layout", "sha256"))
        yield f"Imported from {place} ({layout}), sha256 {checksum}."
    elif begun_from:
        place, comma, rest = str(begun_from).partition(", step ")
        yield f"The run began from {markdown.text(_last_names(place, 3) + comma + rest)}."
    elif config.run.init_from:
        yield f"The run began from {markdown.text(_last_names(config.run.init_from, 3))}."
    else:
        yield f"The run began from random weights, seed {config.run.seed}."


def _limits(subject: Subject) -> Iterator[str]:
    l_max, history = subject.config.model.l_max, subject.history
    yield f"A sequence has {l_max:,} bases at most: the filter ends there."
    if history is not None and (longest := max(step.context_length for step in history.steps)) < l_max:
        yield f"No training sample was longer than {longest:,} bases: beyond, its quality is not known."
    yield "It reads one strand from left to right; a base's scores and features know nothing of what follows it."
    yield "It knows A, C, G, T and N; other IUPAC codes are one token, [UNK], that was never predicted."
    if history is not None:
        yield "Bits per base are of held-out parts of the same genomes. No other task was evaluated by this run."
        yield "Homologous and repeated sequence may lie in several splits, so that held-out figures flatter a little."
    yield "It was not made for decisions about the health of people."


def _shard_set(url: str, checksum: str | None) -> ShardSet | str:
    """The set that was trained on; a card can do without one that is gone, and must do without another one."""
    try:
        found = load_shard_set(url)
    except InputError:
        return _UNREACHED
    return found if found.checksum == checksum else "another set is there now"


def _last_names(url: str, count: int) -> str:
    """The last parts of a path or URL, without a scheme or bucket before them unless there are no others."""
    return "/".join(url.rstrip("/").split("/")[-count:]) or url


def _shown(value: Any) -> object:  # noqa: ANN401 - whatever a manifest holds
    return "–" if value is None or value == "" else value

"""The card of exported weights: what they were trained on, how far, how well, at what cost, and what they cannot do.

Cards are published, so of a URL only the last names are said, which no machine or bucket can be guessed from.
"""

from collections.abc import Iterator

from hdna import __version__
from hdna.config import RunConfig
from hdna.model.flops import parameter_count
from hdna.report import markdown
from hdna.report.card_sections import data, training
from hdna.report.card_subject import Subject, last_names
from hdna.report.taxonomy import taxonomy

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


def model_card(subject: Subject, layout: str) -> str:
    """The card in Markdown, for a directory in the layout `hf` or `standalone`."""
    library = "transformers" if layout == "hf" else "pytorch"
    blocks = [
        _FRONT.format(library=library),
        f"# {markdown.text(subject.name)}",
        _introduction(subject),
        "## At a glance",
        markdown.facts(taxonomy(subject)),
        "After the taxonomy of foundation models by Wornow et al. ([arXiv 2303.12961](https://arxiv.org/abs/2303.12961)).",
        "## Architecture",
        markdown.facts(_geometry(subject.config)),
        "## Use",
        markdown.code(_USE[layout]),
        *data(subject),
        *training(subject),
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


def _sources(subject: Subject) -> Iterator[str]:
    checkpoint, config = subject.checkpoint, subject.config
    yield (
        f"Checkpoint {markdown.text(last_names(checkpoint.url, 3))}, step {checkpoint.state.step:,}, sha256 of its "
        f"manifest {checkpoint.checksum}."
    )
    if (imported := subject.imported) is not None:
        place = markdown.text(last_names(str(imported.get("from")), 2))
        layout, checksum = (markdown.text(imported.get(key)) for key in ("layout", "sha256"))
        yield f"Imported from {place} ({layout}), sha256 {checksum}."
    elif (begun_from := subject.begun_from) is not None:
        place, comma, rest = begun_from.partition(", step ")
        yield f"The run began from {markdown.text(last_names(place, 3) + comma + rest)}."
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

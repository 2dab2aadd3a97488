"""The benefit report as a page: self-contained, without script, the same report giving the same bytes."""

from collections.abc import Iterator

from hdna.downstream.benefits.form import Benefit, Benefits
from hdna.downstream.benefits.page_deployment import deployment
from hdna.downstream.benefits.page_performance import performance
from hdna.downstream.benefits.page_uses import emergent, human_interface, less_labels
from hdna.downstream.benefits.shown import NOT_STATED, device
from hdna.report import markup
from hdna.report.markup import Html


def render(report: Benefits, name: str) -> str:
    """The page's HTML; `name`: of the run."""
    lacking = len(report.missing)
    status = ("stopped", f"{lacking} piece(s) of evidence missing") if lacking else ("done", "all evidence is there")
    header = markup.header("hdna benefit report", name, status, report.subject.url)
    footer = (
        f"Written by hdna {report.hdna}. The six heads are those of Wornow et al., arXiv 2303.12961. Figures in "
        "brackets are 95 % intervals."
    )
    return markup.document(f"{name}: benefit report", header, _body(report), footer)


def _body(report: Benefits) -> Iterator[Html]:
    yield markup.cards(_cards(report))
    yield markup.heading("Verdict")
    yield markup.bullets(report.verdict) if report.verdict else markup.paragraph("There is no evidence to judge by.")
    yield markup.heading("1. Predictive performance")
    yield from _missing(report, "predictive_performance")
    yield from performance(report.predictive_performance)
    yield markup.heading("2. Less labelled data")
    yield from _missing(report, "less_labelled_data")
    yield from less_labels(report.less_labelled_data)
    yield markup.heading("3. Simpler deployment")
    yield from _missing(report, "simpler_deployment")
    yield from deployment(report.simpler_deployment, report.subject)
    yield markup.heading("4. Emergent uses")
    yield from _missing(report, "emergent_uses")
    yield from emergent(report.emergent_uses)
    yield markup.heading("5. Multimodality")
    accepted = "; ".join(report.multimodality.accepts)
    yield markup.paragraph(f"Not applicable: DNA sequence only. It accepts {accepted}.", "")
    yield markup.heading("6. Human interface")
    yield from _missing(report, "human_interface")
    yield from human_interface(report.human_interface)
    yield from _evidence(report)


def _cards(report: Benefits) -> Iterator[tuple[str, str, str]]:
    subject, compared = report.subject, report.predictive_performance.comparisons
    yield "Parameters", f"{subject.parameters:,}", f"step {subject.step:,}"
    yield "Tokens seen", f"{subject.tokens / 1e6:,.1f} M" if subject.tokens else "unknown", "in pretraining"
    yield "Longest context", f"{subject.longest_context:,}", "bases"
    if compared:
        won = sum(one.winner == "model" for one in compared)
        yield "Wins", f"{won} of {len(compared)}", "comparisons with baselines"
    yield "Evidence", f"{len(report.evidence)}", f"file(s); {len(report.missing)} piece(s) missing"


def _missing(report: Benefits, benefit: Benefit) -> Iterator[Html]:
    for one in report.missing:
        if one.benefit == benefit:
            yield markup.paragraph(f"Missing: {one.what}. To make it: {one.command}", "missing")


def _evidence(report: Benefits) -> Iterator[Html]:
    yield markup.heading("Evidence")
    if report.evidence:
        rows = [
            (one.file, one.kind, device(one.device, one.other_device), one.date or NOT_STATED, one.hdna or NOT_STATED)
            for one in report.evidence
        ]
        yield markup.table(("File", "Kind", "Device", "Date", "hdna"), rows, 5)
    else:
        yield markup.paragraph("None was found.")
    if report.other_weights:
        yield markup.paragraph("About other weights than these, so not counted:")
        others = [(one.file, one.kind, one.checksum[:12]) for one in report.other_weights]
        yield markup.table(("File", "Kind", "Its weights"), others, 3)
    subject = report.subject
    entries = [("sha256 of the checkpoint's manifest", subject.checksum), ("Device", subject.device or NOT_STATED)]
    yield markup.facts(entries)

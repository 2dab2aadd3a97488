"""The figures of a task: calibration, and the learning curve."""

from typing import Any

from hdna.report.curves import Curve, curves_plot


def task_figures(body: dict[str, Any]) -> dict[str, str]:
    """SVG by file name, of a task's evidence."""
    found = {}
    if body["calibration"]:
        found["calibration.svg"] = _reliability(body)
    if body["learning_curve"]:
        found["learning_curve.svg"] = _curve(body)
    return found


def _reliability(body: dict[str, Any]) -> str:
    bins = [own for own in body["calibration"] if own["rows"]]
    own = Curve(body["method"], [one["confidence"] for one in bins], [one["right"] for one in bins])
    perfect = Curve("as sure as it is right", [0.0, 1.0], [0.0, 1.0], dashed=True)
    title = f"{body['task']}: how often {body['method']} is right, by how sure it is"
    return curves_plot([own, perfect], "calibration", title, "confidence", "share of right guesses")


def _curve(body: dict[str, Any]) -> str:
    points = body["learning_curve"]
    labels = [point["labels"] for point in points]

    def curve(name: str, label: str) -> Curve:
        parts = {end: [point[name][end] for point in points] for end in ("value", "low", "high")}
        return Curve(label, labels, parts["value"], parts["low"], parts["high"])

    both = [curve("pretrained", f"{body['method']}, pretrained"), curve("scratch", "the same model from scratch")]
    title = f"{body['task']}: {body['main']} by the number of labels"
    return curves_plot(both, "learning-curve", title, "labels", body["main"], log_x=True)

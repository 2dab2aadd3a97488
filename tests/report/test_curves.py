"""A figure of several curves is an SVG element that a page can hold."""

import xml.etree.ElementTree as ElementTree

from hdna.report.curves import Curve, curves_plot


def test_curves_with_bands_and_gaps_are_drawn_under_ids_of_their_own() -> None:
    curves = [
        Curve("all bases", [1024, 2048, 4096], [1.93, 1.92, 1.91], [1.92, 1.91, 1.90], [1.94, 1.93, 1.92]),
        Curve("repeats", [1024, 2048, 4096], [1.9, None, 1.8], dashed=True),
    ]
    text = curves_plot(curves, "context", "Bits per base by context", "context", "bits per base", log_x=True)
    ids = {element.get("id", "") for element in ElementTree.fromstring(text).iter()}
    assert {"context-curve-0", "context-curve-1"} <= ids
    assert all(name.startswith("context-") for name in ids if name)

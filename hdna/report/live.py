"""The figures of a page as JSON, for the page's own script."""

import json

import numpy as np

from hdna.report.charts import UNITS, Along, Chart, Frame, Series, Values
from hdna.report.smoothing import MAX_POINTS, thinned


def page_data(charts: list[Chart], frame: Frame) -> str:
    """What report.js draws; numbers rounded to what a screen can show. Curves along the same points share them."""
    places: dict[int, int] = {}
    along: list[dict[str, list[float | None]]] = []
    drawn = [_chart(chart, places, along) for chart in charts]
    stages = [{"index": s.index, "label": s.label, "begin": s.begin, "end": s.end} for s in frame.stages]
    units = [unit for unit in UNITS if unit in frame.end and all(unit in points for points in along)]
    page = {"units": units, "end": frame.end, "one": frame.one, "stages": stages, "along": along, "charts": drawn}
    return json.dumps(page, separators=(",", ":"), allow_nan=False)


def _chart(chart: Chart, places: dict[int, int], along: list[dict[str, list[float | None]]]) -> dict[str, object]:
    def place(points: Along) -> int:
        if id(points) not in places:
            places[id(points)] = len(along)
            along.append(_along(thinned(points, [], MAX_POINTS)[0]))
        return places[id(points)]

    return {
        "name": chart.name,
        "title": chart.title,
        "unit": chart.unit,
        "span": [_rounded(end, 6) for end in chart.span],
        "log": chart.log,
        "large": chart.large,
        "decimals": chart.decimals,
        "series": [{"along": place(series.along), **_series(series)} for series in chart.series],
        "levels": [
            {"label": level.label, "role": level.role, "value": _rounded(level.value, 6)} for level in chart.levels
        ],
        "crossed": None if chart.crossed is None else _along(chart.crossed),
    }


def _series(series: Series) -> dict[str, object]:
    curves = [series.y] if series.smooth is None else [series.y, series.smooth]
    _, drawn = thinned(series.along, curves, MAX_POINTS)
    return {
        "label": series.label,
        "role": series.role,
        "dots": series.dots,
        "y": _list(drawn[-1], 5),
        "raw": _list(drawn[0], 4) if series.smooth is not None else None,
    }


def _along(points: Along) -> dict[str, list[float | None]]:
    hours = {} if points.hours is None else {"hours": _list(points.hours, 5)}
    return {"tokens": _list(points.tokens, 15), "steps": _list(points.steps, 15), **hours}


def _list(values: Values, digits: int) -> list[float | None]:
    return [_rounded(float(value), digits) if np.isfinite(value) else None for value in values]


def _rounded(value: float, digits: int) -> float:
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short

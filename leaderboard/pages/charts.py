"""The figures: Vega-Lite specifications, drawn to SVG when the site is built, so that a page needs no script for them.

Colours are CSS variables of the page, which makes one drawing right for light and dark. Shape says the same as colour.
Every figure is drawn twice, for a wide and for a narrow screen; the page shows the one that fits.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.published.kept import in_use

#: Rows that a figure distinguishes: as many as there are colours for colour-blind readers.
DISTINCT = 7

#: Width of the plotting area, in CSS pixels, by the screen it is for.
WIDTHS = {"wide": 520, "narrow": 190}

#: Letters in a line of a name beside the axis, by the same; how wide and how high a letter may be in a browser's font.
LETTERS = {"wide": 34, "narrow": 17}
LETTER, LINE = 7.2, 14

#: Most lines of a name.
LINES = 3

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")
_NOISE = re.compile(r' (?:role|aria-[a-z]+|xmlns(?::xlink)?|class|version|pointer-events)="[^"]*"')

Spec = dict[str, Any]
Values = list[dict[str, Any]]


@dataclass(frozen=True)
class Drawing:
    """One figure as SVG, for a wide and for a narrow screen; safe to put into a page."""

    wide: str
    narrow: str


def draw(make: Callable[[int], Spec], title: str) -> Drawing:
    """Render a specification at both widths.

    Parameters
    ----------
    make
        Returns the specification for a width of the plotting area.
    title
        Read out in place of the figure.
    """
    return Drawing(*(_render(make(width), title) for width in WIDTHS.values()))


def intervals(values: Values, groups: Sequence[str], models: Sequence[str], *, axis: str) -> Callable[[int], Spec]:
    """Draw one dot and its interval a model in every group, groups from top to bottom (paper, Figures 2 and 3).

    Parameters
    ----------
    values
        ``{"group", "model", "value", "low", "high"}``; the ends may be None.
    groups, models
        In the order in which they are drawn.
    axis
        Title of the horizontal axis.
    """
    offset = {"field": "model", "type": "nominal", "sort": list(models), "scale": {"paddingOuter": 0.6}}

    def make(width: int) -> Spec:
        names, y = _names(groups, width)
        y["axis"]["grid"] = True
        lines = max(name.count("\n") + 1 for name in names.values())
        length = {"type": "quantitative", "title": _title(axis, width), "axis": {"tickCount": width // 60}}
        colour = _by_model(models, width)
        whisker = {
            "transform": [{"filter": "datum.low != null"}],
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"x": {"field": "low", **length}, "x2": {"field": "high"}, "color": colour["color"]},
        }
        dot = {
            "mark": {"type": "point", "filled": True, "size": 38, "opacity": 1},
            "encoding": {"x": {"field": "value", **length}, **colour},
        }
        step = max(9, 15 - len(models), math.ceil(LINE * lines / (len(models) + 1.6)))
        return _spec(
            [{**value, "group": names[value["group"]]} for value in values],
            width,
            height={"step": step, "for": "offset"},
            encoding={"y": y, "yOffset": offset},
            layer=[whisker, dot],
        )

    return make


def bars(values: Values, groups: Sequence[str], *, axis: str) -> Callable[[int], Spec]:
    """Draw one bar a group with its number behind it; values are ``{"group", "value"}``."""

    def make(width: int) -> Spec:
        names, y = _names(groups, width)
        lines = max(name.count("\n") + 1 for name in names.values())
        ticks = {"tickMinStep": 1, "format": "d"}
        x = {"field": "value", "type": "quantitative", "title": _title(axis, width), "axis": ticks}
        text = {"type": "text", "align": "left", "dx": 4, "color": "var(--text)"}
        return _spec(
            [{**value, "group": names[value["group"]]} for value in values],
            width,
            height={"step": LINE * lines + 6},
            encoding={"y": y, "x": x},
            layer=[
                {"mark": {"type": "bar", "color": "var(--c0)"}},
                {"mark": text, "encoding": {"text": {"field": "value", "format": "d"}}},
            ],
        )

    return make


def histogram(values: Values, panels: Sequence[str], *, axis: str) -> Callable[[int], Spec]:
    """Draw counts over bins of a logarithmic axis, one panel above the other.

    Values are ``{"panel", "from", "to", "n"}`` with the bins' edges.
    """

    def make(width: int) -> Spec:
        edges = [value[end] for value in values for end in ("from", "to")]
        scale = {"type": "log", "domain": [min(edges), max(edges)], "nice": False}
        x = {"type": "quantitative", "scale": scale, "title": axis, "axis": {"tickCount": width // 60, "format": "~g"}}
        n = {"field": "n", "type": "quantitative", "title": "findings", "axis": {"tickMinStep": 1, "tickCount": 4}}
        spec = _spec(values, width, height=110, mark={"type": "bar", "color": "var(--c0)", "binSpacing": 1})
        row = {"field": "panel", "type": "nominal", "sort": list(panels), "title": None}
        head = {"labelAngle": 0, "labelOrient": "top", "labelAnchor": "start", "labelColor": "var(--text)"}
        spec["encoding"] = {
            "x": {"field": "from", **x},
            "x2": {"field": "to"},
            "y": n,
            "y2": {"datum": 0},
            "row": {**row, "header": head},
        }
        return spec

    return make


def scatter(values: Values, models: Sequence[str], *, axis: str) -> Callable[[int], Spec]:
    """Draw average Dice against a cost on a logarithmic axis; values are ``{"model", "cost", "value", "front"}``.

    A line joins the models that no other beats in both. Those without a name are small and grey.
    """

    def make(width: int) -> Spec:
        costs = [value["cost"] for value in values]
        scale = {"type": "log", "domain": [min(costs) * 0.7, max(costs) * 1.4], "nice": False}
        ticks = {"tickCount": max(4, width // 70), "format": "~g"}
        x = {"field": "cost", "type": "quantitative", "scale": scale, "title": _title(axis, width), "axis": ticks}
        y = {"field": "value", "type": "quantitative", "title": "average Dice", "scale": {"zero": True}}
        line = {"type": "line", "color": "var(--muted)", "strokeDash": [4, 4], "interpolate": "step-after"}
        rest = {"type": "point", "filled": True, "size": 20, "opacity": 1, "color": "var(--muted)"}
        return _spec(
            values,
            width,
            height=240,
            encoding={"x": x, "y": y},
            layer=[
                {"transform": [{"filter": "datum.front"}], "mark": line},
                {"transform": [{"filter": "datum.model == null"}], "mark": rest},
                {
                    "transform": [{"filter": "datum.model != null"}],
                    "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                    "encoding": _by_model(models, width),
                },
            ],
        )

    return make


def curves(values: Values, panels: Sequence[str]) -> Callable[[int], Spec]:
    """Draw lines over steps, one panel above the other with an axis of its own.

    Values are ``{"panel", "step", "value"}``.
    """

    def make(width: int) -> Spec:
        x = {"field": "step", "type": "quantitative", "title": "step", "axis": {"tickCount": width // 70}}
        y = {"field": "value", "type": "quantitative", "title": None, "axis": {"tickCount": 4}}
        row = {"field": "panel", "type": "nominal", "sort": list(panels), "title": None}
        head = {"labelAngle": 0, "labelOrient": "top", "labelAnchor": "start", "labelColor": "var(--text)"}
        line = {"type": "line", "color": "var(--c0)", "point": {"color": "var(--c0)", "size": 12}}
        spec = _spec(values, width, height=80, mark=line)
        spec["encoding"] = {"x": x, "y": y, "row": {**row, "header": head}}
        return {**spec, "resolve": {"scale": {"y": "independent"}}}

    return make


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for every (cost, value) whether no other point is at least as good in both and better in one."""
    return [
        not any((c <= cost and v >= value) and (c, v) != (cost, value) for c, v in points) for cost, value in points
    ]


def _names(groups: Sequence[str], width: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Return every name in lines, and the axis that shows them: the browser's font may be wider than the one here."""
    letters = LETTERS["wide" if width > WIDTHS["narrow"] else "narrow"]
    names: dict[str, str] = {}
    for group in groups:
        lines = textwrap.wrap(group, letters, max_lines=LINES, placeholder="…", break_on_hyphens=False) or [group]
        name = "\n".join(lines)
        names[group] = name if name not in names.values() else f"{name}\n({len(names) + 1})"
    longest = max(len(line) for name in names.values() for line in name.split("\n"))
    axis = {
        "labelExpr": r"split(datum.label, '\n')",
        "labelLineHeight": LINE - 1,
        "labelLimit": 0,
        "minExtent": math.ceil(longest * LETTER) + 6,
        "ticks": False,
        "domain": False,
    }
    return names, {"field": "group", "type": "nominal", "sort": list(names.values()), "title": None, "axis": axis}


def _title(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width // 7)


def _by_model(models: Sequence[str], width: int) -> dict[str, Any]:
    legend = {
        "orient": "bottom",
        "columns": 2 if width > 300 else 1,
        "title": None,
        "labelLimit": 220,
        "columnPadding": 40,  # the browser's font may be wider than the one here
        "symbolSize": 60,
    }
    names = list(models)
    field = {"field": "model", "type": "nominal", "sort": names, "legend": legend if any(names) else None}
    return {
        "color": {**field, "scale": {"domain": names, "range": [f"var(--c{i})" for i in range(len(names))]}},
        "shape": {**field, "scale": {"domain": names, "range": list(_SHAPES[: len(names)])}},
    }


def _spec(values: Values, width: int, **parts: Any) -> Spec:
    axis = dict.fromkeys(("labelColor", "titleColor"), "var(--text)")
    lines = dict.fromkeys(("gridColor", "domainColor", "tickColor"), "var(--line)")
    text = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    config = {
        "font": "sans-serif",
        "axis": {**axis, **lines, **text},
        "legend": {**axis, "labelFontSize": 12},
        "header": {"labelFontSize": 12},
        "view": {"stroke": None},
        "text": {"fontSize": 12},
    }
    schema = "https://vega.github.io/schema/vega-lite/v6.json"
    base = {"$schema": schema, "background": None, "padding": 4, "config": config}
    return {**base, "data": {"values": values}, "width": width, **parts}


def _render(spec: Mapping[str, Any], title: str) -> str:
    return in_use().content("figure", (json.dumps(spec), title), lambda: _drawn(spec, title).encode()).decode()


def _drawn(spec: Mapping[str, Any], title: str) -> str:
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(dict(spec), vl_version="6.1")
    head, _, body = _NOISE.sub("", drawn).partition(">")
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return f'{head} role="img" aria-label="{label}">{body}'

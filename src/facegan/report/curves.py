"""Drawings of the report, as SVG to be put inside a page."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facegan.errors import UserError
from facegan.evaluation.receipt import Receipt
from facegan.evaluation.representation import AttributeShare

_INK, _GRID = "#444", "#ddd"
_COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214")
SPACE_COLOURS = {"judge-net": "#2166ac", "random-net": "#e08214", "attributes-net": "#1b7837"}


def need_matplotlib() -> None:
    """Refuse to draw without matplotlib.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("the report draws its curves with matplotlib: pip install matplotlib")


def _axes(width: float, height: float, title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.tick_params(labelsize=8, colors=_INK)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    # Names within the drawing are the page's own: one drawing's must not be another's.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return text.replace(size.group(0), 'width="100%"', 1) if size else text


def training_curves(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return drawings of a run's log: losses, what D gets right, gradient norms, scores, speed."""
    drawings = []
    for number, (title, columns, logarithmic) in enumerate((
        ("losses", {"D_loss": "discriminator", "G_loss": "generator"}, False),
        ("share that the discriminator gets right",
         {"D_accuracy_real": "real faces", "D_accuracy_fake": "generated faces"}, False),
        ("gradient norms", {"D_gradient_norm": "discriminator", "G_gradient_norm": "generator"}, True),
        ("quick score (of this run only, lower is better)", {"quick_score": "quick score"}, True),
        # Logs of version 0.1.0: thumbnails, another scale.
        ("the run's own score (of this run only, lower is better)", {"score": "score"}, True),
        ("images a second", {"images_per_s": "rate"}, False),
    )):  # fmt: skip
        figure, axes = _axes(5.6, 2.6, title)
        for colour, (column, label) in zip(_COLOURS, columns.items(), strict=False):
            points = [(line["nimg"], line[column]) for line in lines if _is_number(line.get(column))]
            if points:
                marker = "o" if len(points) < 12 else None
                axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, label=label, marker=marker,
                          markersize=3)  # fmt: skip
        if not axes.lines:
            continue
        if logarithmic:
            axes.set_yscale("log")
        if len(columns) > 1:
            axes.legend(fontsize=8, frameon=False)
        _images_axis(axes)
        drawings.append(_svg(figure, f"curve{number}"))
    return drawings


def score_curves(receipts: Mapping[int, Receipt]) -> str | None:
    """Return a drawing of the Frechet distance over the training, with intervals and floors; None without scores."""
    if not receipts:
        return None
    newest = receipts[max(receipts)].protocol
    rows = {nimg: receipt for nimg, receipt in receipts.items() if receipt.protocol == newest}
    figure, axes = _axes(5.6, 3.0, "Frechet distance to real faces (lower is better; dashed: real against real)")
    for place, space in enumerate(newest["spaces"]):
        colour = SPACE_COLOURS.get(space, _COLOURS[place % len(_COLOURS)])
        found = {
            nimg: score
            for nimg, receipt in rows.items()
            for score in receipt.scores
            if (score.space, score.name) == (space, "frechet")
        }
        if not found:
            continue
        estimates = [score.estimate for score in found.values()]
        nimg = list(found)
        axes.plot(nimg, [at.value for at in estimates], color=colour, marker="o", markersize=3, label=space)
        low, high = [at.low for at in estimates], [at.high for at in estimates]
        axes.fill_between(nimg, low, high, color=colour, alpha=0.25, linewidth=0)
        if (floor := found[nimg[-1]].floor) is not None and floor.value > 0:
            axes.axhline(floor.value, color=colour, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=3)
    _images_axis(axes)
    return _svg(figure, "scores")


def presence_drawing(rows: Sequence[AttributeShare]) -> str:
    """Return a drawing of the 40 attributes: generated less real in percent points, with intervals."""
    single = sorted((row for row in rows if " + " not in row.name), key=lambda row: row.generated - row.real)
    figure, axes = _axes(5.6, 0.5 + 0.19 * len(single), "generated less real, percent points, with 95% intervals")
    place = np.arange(len(single))
    for at, row in zip(place, single, strict=True):
        colour = {"": "#999", "too often": _COLOURS[1], "too seldom": _COLOURS[0]}[row.verdict]
        axes.plot([100 * row.low, 100 * row.high], [at, at], color=colour, linewidth=1.6)
        axes.plot([100 * (row.generated - row.real)], [at], "o", color=colour, markersize=3.5)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_yticks(place, [row.name.replace("_", " ") for row in single])
    axes.set_ylim(-0.7, len(single) - 0.3)
    axes.tick_params(axis="y", labelsize=7)
    return _svg(figure, "presence")


def _images_axis(axes: Any) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("images seen", fontsize=8, color=_INK)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

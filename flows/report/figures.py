"""Curves and pictures of the report, from plain arrays. Colours are the same for one emotion
everywhere."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure as Canvas
from PIL import Image

from flows.report.page import Figure

EMOTION_COLOURS = {
    "neutral": "#7d7a75",
    "happy": "#e0a100",
    "sad": "#3f72b5",
    "angry": "#c23b2b",
    "surprised": "#2e9d8f",
    "fear": "#7b56a6",
    "disgusted": "#5f8f2e",
    "contempt": "#a0643c",
    "calm": "#64a8c9",
}

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a857d",
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def colour_of(emotion: str | None) -> str:
    """The colour of a tag; unlabelled frames are grey."""
    return EMOTION_COLOURS.get(emotion or "", "#9a948b")


def _png(canvas: Canvas, caption: str) -> Figure:
    buffer = BytesIO()
    canvas.savefig(buffer, format="png", dpi=130, bbox_inches="tight", facecolor="white")
    return Figure(buffer.getvalue(), "image/png", caption)


def picture(image: UInt8[np.ndarray, "height width 3"], caption: str) -> Figure:
    """An RGB picture as JPEG."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=88)
    return Figure(buffer.getvalue(), "image/jpeg", caption)


def grid_of(
    rows: Sequence[Sequence[np.ndarray]], gap: int = 4
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures of one size in rows; a short row is filled with paper white."""
    height, width, _ = rows[0][0].shape
    columns = max(len(row) for row in rows)
    sheet = np.full(
        (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 250, np.uint8
    )
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = r * (height + gap), c * (width + gap)
            sheet[top : top + height, left : left + width] = image
    return sheet


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    caption: str,
    *,
    x: str,
    y: str,
    log_y: bool = False,
) -> Figure:
    """Lines over a common axis: name → (x values, y values)."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(7.2, 2.6))
        axes = canvas.subplots()
        for name, (xs, ys) in series.items():
            axes.plot(xs, ys, label=name, linewidth=1.4)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if log_y:
            axes.set_yscale("log")
        if len(series) > 1:
            axes.legend()
        return _png(canvas, caption)


def histograms(
    values: Mapping[str, Float[np.ndarray, " n"]],
    edges: Float[np.ndarray, " bins"] | None,
    caption: str,
    *,
    x: str,
) -> Figure:
    """One outline per tag over the same axis; dashed lines are group edges."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(7.2, 2.4))
        axes = canvas.subplots()
        everything = np.concatenate(list(values.values()))
        bins = np.linspace(everything.min(), everything.max() + 1e-9, 48)
        for tag, data in values.items():
            axes.hist(
                data,
                bins=list(bins),
                histtype="step",
                color=colour_of(tag),
                label=tag,
                linewidth=1.4,
            )
        for edge in [] if edges is None else edges:
            axes.axvline(float(edge), color="#8a857d", linestyle=":", linewidth=0.8)
        axes.set_xlabel(x)
        axes.set_ylabel("frames")
        axes.legend()
        return _png(canvas, caption)


def timeline(
    tracks: Mapping[str, Mapping[str, Float[np.ndarray, " frames"]]],
    words: Sequence[tuple[str, float, float]],
    caption: str,
    fps: int = 25,
) -> Figure:
    """Stacked tracks over seconds, words below.

    What was said, what the face did, which emotion it shows.
    """
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(7.6, 1.7 * len(tracks) + 0.5))
        rows = canvas.subplots(len(tracks), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, lines) in zip(rows, tracks.items(), strict=True):
            for name, data in lines.items():
                seconds = (np.arange(len(data)) + 0.5) / fps
                axes.plot(seconds, data, label=name, color=EMOTION_COLOURS.get(name), linewidth=1.3)
            axes.set_title(title, loc="left", fontsize=9)
            if len(lines) > 1:
                axes.legend(loc="upper right", fontsize=7, ncols=min(len(lines), 4))
        low, high = rows[-1].get_ylim()
        for word, start, end in words:
            rows[-1].text(
                (start + end) / 2,
                low - 0.22 * (high - low),
                word,
                ha="center",
                va="top",
                fontsize=7,
                color="#6f6a63",
            )
        rows[-1].set_xlabel("seconds", labelpad=18)
        return _png(canvas, caption)

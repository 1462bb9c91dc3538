"""Report sections about speech: what the network learnt, what was said and shown."""

from pathlib import Path
from typing import Any

import av
import numpy as np

from flows.features import FeatureNames
from flows.fit_hyperplanes import expression_names
from flows.report.figures import curves, grid_of, picture, timeline
from flows.report.page import Section, Table

FILM_FRAMES = 8


def network_section(network: dict[str, Any]) -> Section:
    """Loss, and held-out error beside the baselines."""
    rows = network["table"]
    section = Section(
        "Speech to expression",
        "The audio-expression network (equations 1-9), whitened units: "
        "1 is the spread of the person's own face.",
        notes=list(network["notes"]),
    )
    if network["history"]:
        steps, losses = zip(*network["history"], strict=True)
        section.figures.append(
            curves({"loss": (steps, losses)}, "Training loss (equation 13)", x="step", y="loss")
        )
    if rows:
        header = tuple(rows[0])
        section.tables.append(
            Table(header, tuple(tuple(r[h] for h in header) for r in rows), "Held-out clips")
        )
    return section


def film(video: Path, count: int = FILM_FRAMES) -> list[np.ndarray]:
    """Frames evenly over a video."""
    with av.open(str(video)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).astype(int)]


def video_section(out: Path, summary: dict[str, Any], names: FeatureNames) -> Section:
    """Frames of the video, the words, the coefficients and the emotion margins over time."""
    arrays = np.load(out / "video.npz")
    tags = [str(tag) for tag in arrays["tags"]]
    labels = expression_names(names.expression)
    shown = [
        labels.index(n) if n in labels else i for i, n in enumerate(("jaw_open", "corner_raise"))
    ]
    tracks = {
        "expression, whitened": {
            labels[i] if labels else str(i): arrays["alpha"][:, i] for i in shown
        }
    }
    if tags:
        tracks["margin: above 0 the frame is on the emotion's side"] = {
            tag: arrays["margin"][:, i] for i, tag in enumerate(tags)
        }
    heard = summary["synthesis"]["heard"].get("transcript", {})
    words = [(str(word), float(start), float(end)) for word, start, end in heard.get("words", [])]
    pictures = film(out / "video.mp4")
    half = len(pictures) // 2
    return Section(
        "The video",
        figures=[
            picture(
                grid_of([pictures[:half], pictures[half:]]),
                f"Frames of the video; {summary['emotion']}",
            ),
            timeline(tracks, words, "What was said, what the face did, which emotion it shows"),
        ],
    )

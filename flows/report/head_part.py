"""Report section about the head: how it learnt, and held-out frames beside the truth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from flows.features import FeatureNames
from flows.report.figures import curves, grid_of, picture
from flows.report.page import Section, Table
from flows.train_head import head_data
from render.compositing import compose
from render.errors import HeadDataError
from render.head import Head, load_head
from render.head_data import HeadData
from render.metrics import HeadScore, score_head
from store import Snapshot

SHOWN = 6
JUDGED = 12
"""Held-out frames that are rendered for the figures, evenly chosen."""


@dataclass(frozen=True)
class HeadPart:
    """The section, and the figures that stand on top of the page."""

    section: Section
    facts: list[tuple[str, str]]
    metrics: dict[str, Any]


def side_by_side(head: Head, test: HeadData) -> UInt8[np.ndarray, "h w 3"]:
    """Truth above, the rendered head over the same surroundings below."""
    truth, rendered = [], []
    for i in np.linspace(0, len(test.frames) - 1, min(SHOWN, len(test.frames))).astype(int):
        rgb, opacity = head.render(test.cameras[i], test.alpha[i], test.size)
        truth.append(test.frames[i])
        rendered.append(compose(rgb, opacity, test.frames[i]))
    return grid_of([truth, rendered])


def measured(head: Head, data: HeadData) -> HeadScore | str:
    """The scores, or why there are none."""
    try:
        return score_head(head, data, frames=JUDGED)
    except HeadDataError as error:
        return str(error)


def head_section(
    snapshot: Snapshot, dataset: str, folder: Path, trained: dict[str, Any], names: FeatureNames
) -> HeadPart:
    """Held-out PSNR and SSIM of the head region beside two baselines, with pictures."""
    head = load_head(folder)
    data = head_data(snapshot, dataset, trained["clips"], names)
    score = measured(head, data)
    section = Section(
        "The head",
        "An expression-conditioned radiance field; these frames were never trained on.",
    )
    curve = head.facts.get("curve", [])
    if isinstance(score, str):
        section.notes.append(f"PSNR and SSIM not measured: {score}")
        return HeadPart(section, [("not measured", "PSNR of the head, held-out frames")], {})
    section.figures.append(
        picture(
            side_by_side(head, data.held_out()), "Above: held-out frames. Below: the rendered head"
        )
    )
    if curve:
        steps = [point["step"] for point in curve]
        section.figures.append(
            curves(
                {"PSNR": (steps, [point["psnr"] for point in curve])},
                "Training rays",
                x="step",
                y="PSNR, dB",
            )
        )
    rows = (
        ("rendered head", score.psnr, score.ssim),
        ("nearest training frame (pose and expression)", score.nearest_psnr, score.nearest_ssim),
        ("mean training frame", score.mean_psnr, score.mean_ssim),
    )
    section.tables.append(
        Table(
            ("", "PSNR, dB", "SSIM"), rows, f"Head region of {score.frames} frames, {data.size} px"
        )
    )
    section.notes.append(json.dumps({k: v for k, v in head.facts.items() if k != "curve"}))
    return HeadPart(
        section,
        [
            (f"{score.psnr:.1f} dB", "PSNR of the head, held-out frames"),
            (f"{score.ssim:.3f}", "SSIM of the head, held-out frames"),
        ],
        score.record(),
    )

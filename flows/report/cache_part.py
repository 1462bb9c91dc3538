"""Report sections about the cache: faces, mouths, hyperplanes, plan and rejects."""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from flows.features import FeatureNames
from flows.fit_hyperplanes import read_planes
from flows.reading import clips_with
from flows.report.figures import grid_of, histograms, picture
from flows.report.page import Section, Table
from flows.train_head import head_features
from store import Snapshot

LABEL_COLOURS = np.random.default_rng(4).integers(40, 255, (19, 3)).astype(np.uint8)
FRAMES_A_ROW = 5
THUMBNAIL = 160


def drawn(
    frame: UInt8[np.ndarray, "s s 3"],
    landmarks: Float[np.ndarray, "points 3"],
    labels: UInt8[np.ndarray, "s s"],
) -> UInt8[np.ndarray, "t t 3"]:
    """A frame with its masks tinted and its landmarks dotted, at thumbnail size."""
    tint = LABEL_COLOURS[np.minimum(labels, 18)]
    mixed = np.where(labels[..., None] > 0, (frame * 0.7 + tint * 0.3), frame).astype(np.uint8)
    shown = cv2.resize(mixed, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    if np.isfinite(landmarks).all():
        scale = THUMBNAIL / frame.shape[1]
        for x, y in landmarks[:, :2] * scale:
            cv2.circle(shown, (round(float(x)), round(float(y))), 0, (255, 255, 255), -1)
    return np.asarray(shown, np.uint8)


def contact_sheet(
    snapshot: Snapshot, dataset: str, clip_ids: list[str], names: FeatureNames
) -> UInt8[np.ndarray, "h w 3"]:
    """A row a clip: frames evenly over its length with what was found in them."""
    rows = []
    for clip_id in clip_ids:
        count = snapshot.frames(dataset, clip_id)
        row = []
        for at in np.linspace(0, count - 1, FRAMES_A_ROW).astype(int):
            window = (int(at), int(at) + 1)
            row.append(
                drawn(
                    snapshot.read(dataset, names.frames, clip_id, *window)[0],
                    snapshot.read(dataset, "face/landmarks", clip_id, *window)[0],
                    snapshot.read(dataset, names.parsing, clip_id, *window)[0],
                )
            )
        rows.append(row)
    return grid_of(rows)


def cache_sections(
    snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames, summary: dict[str, Any]
) -> list[Section]:
    """What is in the cache, and how it came there."""
    return [
        _faces(snapshot, dataset, identity, names),
        _hyperplanes(snapshot, dataset, identity, names, summary["hyperplanes"]),
        _plan(summary["preprocess"]),
    ]


def _faces(snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames) -> Section:
    usable = clips_with(snapshot, dataset, (*head_features(names), "face/landmarks"))
    table = snapshot.clips(dataset).loc[usable]
    own = table[table.identity == identity]
    first = own.groupby("emotion", sort=True).head(1).head(8)
    captions = ", ".join(f"{r.emotion or 'unlabelled'}" for r in first.itertuples())
    sheet = contact_sheet(snapshot, dataset, [str(c) for c in first.index], names)
    return Section(
        "What was found",
        f"{len(table)} clips with a face, {table.identity.nunique()} identities. "
        "Landmarks dotted, parsing tinted.",
        figures=[picture(sheet, f"{identity}, one clip a row: {captions}")],
    )


def _hyperplanes(
    snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames, fitted: dict[str, Any]
) -> Section:
    section = Section(
        "Emotion hyperplanes",
        notes=[f"{r['scope']}, {r['emotion']}: {r['reason']}" for r in fitted["rejected"]],
    )
    usable = clips_with(snapshot, dataset, (names.expression, names.mouth))
    table = snapshot.clips(dataset).loc[usable]
    own = table[(table.identity == identity) & (table.emotion != "")]
    mouths = {}
    for tag, group in own.groupby("emotion"):
        values = np.concatenate([snapshot.read(dataset, names.mouth, str(c)) for c in group.index])
        mouths[str(tag)] = values[np.isfinite(values)]
    planes = read_planes(snapshot, dataset, names.expression)
    if mouths and identity in planes:
        edges = next((p.bin_edges for p in planes[identity].planes.values()), None)
        section.figures.append(
            histograms(
                mouths,
                edges,
                "Mouth aspect ratio; dotted: the five groups frames are drawn from",
                x="MAR",
            )
        )
    header = ("scope", "emotion", "held-out accuracy", "training accuracy", "clips", "frames")
    section.tables.append(
        Table(
            header,
            tuple(
                tuple("not measured" if p[h] is None else p[h] for h in header)
                for p in fitted["planes"]
            ),
            "Balanced accuracy; held out are whole clips. Chance is 0.5.",
        )
    )
    return section


def _plan(cells: dict[str, Any]) -> Section:
    tables = []
    if cells["reasons"]:
        rows = tuple((what, count) for what, count in cells["reasons"].items())
        tables.append(Table(("feature: reason", "cells"), rows, "Planned cells and why"))
    if cells["stage_seconds"]:
        rows = tuple(
            (stage, float(s))
            for stage, s in sorted(cells["stage_seconds"].items(), key=lambda x: -x[1])
        )
        tables.append(Table(("stage", "worker seconds"), rows, f"{cells['frames']} frames"))
    if cells["rejections"]:
        rows = tuple((r["clip"], r["feature"], r["reason"]) for r in cells["rejections"])
        tables.append(Table(("clip", "feature", "reason"), rows, "Rejected, with the reason"))
    text = (
        "Nothing had to be computed: every wanted cell was there." if not cells["planned"] else ""
    )
    return Section("What was computed", text, tables=tables)

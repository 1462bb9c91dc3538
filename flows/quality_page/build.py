"""From a snapshot to one self-contained page of bounded size."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from flows.errors import NothingToDo
from flows.fit_hyperplanes import read_planes
from flows.quality_page.collect import ClipView, collect, doubtful_labels, mouth_of, near_duplicates
from flows.quality_page.drawing import histogram_svg, strip, timeline_svg
from flows.quality_page.runs import runs_of
from flows.report.figures import histograms
from flows.store_features import expression_of
from pipeline.clock import FPS
from pipeline.quality_rules import FLAGS, QualityConfig
from store import Cache, Snapshot

CARDS = 60
"""Clips shown with pictures: those with flags first, then an even choice of the others."""
ROWS = 2000
"""Clips listed in the table."""


@dataclass(frozen=True)
class Card:
    """A clip with its pictures."""

    view: ClipView
    strip: str | None
    timeline: Markup
    numbers: list[tuple[str, str]]


def write_quality_page(
    store: str,
    path: Path,
    dataset: str = "clips",
    ref: str = "main",
    limits: QualityConfig | None = None,
    expression: str | None = None,
    cards: int = CARDS,
) -> Path:
    """Write the page of a store's dataset at a snapshot; returns its path.

    The page holds thumbnails of the people in the store: keep it where the store may be kept.

    Args:
        store: folder or URL.
        path: the file to write.
        dataset: group of the store.
        ref: branch, tag or snapshot id.
        limits: by which clips are flagged.
        expression: feature of the hyperplanes that doubt labels; None: the profile's.
        cards: clips shown with pictures.

    Raises:
        NothingToDo: the snapshot has no such dataset.
    """
    cache = Cache.open(store)
    snapshot = cache.snapshot(ref)
    if not snapshot.has_dataset(dataset):
        raise NothingToDo(f"{store} has no dataset {dataset!r}; run `emohead preprocess` first")
    limits = limits or QualityConfig()
    expression = expression_of(cache, dataset, expression)
    views = collect(snapshot, dataset, limits)
    mouths = {
        view.clip_id: mouth
        for view in views
        if (mouth := mouth_of(snapshot, dataset, view)) is not None
    }
    twins = near_duplicates(views, mouths)
    doubts = doubtful_labels(snapshot, dataset, views, expression)
    for view in views:
        if view.clip_id in doubts:
            view.flags["label"] = doubts[view.clip_id]
    for one, other, alike in twins:
        one.flags["twin"] = f"same recording as {other.name} (mouths agree at {alike:.3f})"
        other.flags["twin"] = f"same recording as {one.name} (mouths agree at {alike:.3f})"
    meanings = FLAGS | {"label": "label doubted", "twin": "near-duplicate"}
    chosen = _chosen(views, cards)
    page = {
        "title": f"Quality of {dataset!r}",
        "store": cache.location,
        "snapshot": snapshot.id,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "facts": _facts(views),
        "table": _people(views),
        "rejections": _reasons(views),
        "runs": runs_of(cache, ref, dataset),
        "flags": [
            (meanings[flag], [view for view in views if flag in view.flags])
            for flag in meanings
            if any(flag in view.flags for view in views)
        ],
        "twins": twins,
        "distributions": _distributions(views, limits),
        "mouths": _mouths(snapshot, dataset, views, mouths, expression),
        "cards": [_card(snapshot, dataset, view, mouths) for view in chosen],
        "views": views[:ROWS],
        "hidden": max(0, len(views) - ROWS),
        "meanings": meanings,
        "shown": {view.clip_id for view in chosen},
    }
    environment = Environment(
        loader=PackageLoader("flows.quality_page", "."),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template("page.html.j2").render(page), encoding="utf-8")
    return path


def _facts(views: Sequence[ClipView]) -> list[tuple[str, str]]:
    usable = [view for view in views if view.usable]
    seconds = sum(view.frames for view in usable) / FPS
    flagged = sum(bool(view.flags) for view in usable)
    return [
        (f"{len(views)}", "clips"),
        (f"{seconds / 60:.1f} min", "of usable pictures"),
        (f"{len({view.identity for view in usable})}", "identities"),
        (f"{len(views) - len(usable)}", "refused"),
        (f"{flagged}", "kept, with a flag"),
        (f"{len(usable) - flagged}", "without remark"),
    ]


def _people(views: Sequence[ClipView]) -> dict[str, Any]:
    """Seconds by identity and emotion."""
    tags = sorted({view.emotion or "unlabelled" for view in views if view.usable})
    seconds: Counter[tuple[str, str]] = Counter()
    for view in views:
        seconds[view.identity, view.emotion or "unlabelled"] += view.frames
    people = sorted({view.identity for view in views if view.usable})
    most = max(seconds.values(), default=1) or 1
    rows = [
        (who, [(seconds[who, tag] / FPS, seconds[who, tag] / most) for tag in tags])
        for who in people[:60]
    ]
    return {"tags": tags, "rows": rows, "hidden": max(0, len(people) - 60)}


def _reasons(views: Sequence[ClipView]) -> list[tuple[str, str, list[ClipView]]]:
    """(reason, features, clips), most frequent first."""
    by_reason: dict[str, list[tuple[ClipView, str]]] = {}
    for view in views:
        for reason in sorted(set(view.rejected.values())):
            names = [name for name, why in view.rejected.items() if why == reason]
            text = "everything" if not view.usable else ", ".join(names)
            by_reason.setdefault(reason.replace(f"{view.name}: ", ""), []).append((view, text))
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return [(why, clips[0][1], [view for view, _ in clips]) for why, clips in ordered]


def _distributions(views: Sequence[ClipView], limits: QualityConfig) -> list[dict[str, Any]]:
    def turned(view: ClipView) -> float | None:
        yaw = view.quality("yaw_deg")
        return None if yaw is None else max(abs(angle) for angle in yaw)

    def opened(view: ClipView) -> float | None:
        mouth = view.quality("mar_range")
        return None if mouth is None else mouth[1] - mouth[0]

    measured = (
        ("face found, %", "face_found_percent", limits.least_face_found, None),
        ("sharpness of the face", "sharpness", limits.least_sharpness, None),
        ("largest yaw, °", turned, None, limits.most_yaw),
        ("pose error, px", "pose_error_px", None, limits.most_pose_error),
        ("mouth range", opened, limits.least_mouth_range, None),
        ("sound level, dBFS", "audio_level_dbfs", None, None),
        ("silent frames, %", "audio_silent_percent", None, limits.most_silent),
        ("sound after lips, s", "av_lag_s", -limits.most_lag, limits.most_lag),
    )
    shown = []
    for title, of, low, high in measured:
        found = [of(view) if callable(of) else view.quality(of) for view in views]
        values = np.array([value for value in found if value is not None], float)
        if len(values):
            note = "" if len(values) == len(views) else f"{len(values)} of {len(views)} measured"
            shown.append(
                {"title": title, "svg": Markup(histogram_svg(values, low, high)), "note": note}
            )
    return shown


def _mouths(
    snapshot: Snapshot,
    dataset: str,
    views: Sequence[ClipView],
    mouths: dict[str, np.ndarray],
    expression: str,
) -> str | None:
    """Histogram of the mouth aspect ratio by emotion, with the groups of the pooled planes."""
    by_tag: dict[str, list[np.ndarray]] = {}
    for view in views:
        if view.clip_id in mouths:
            values = mouths[view.clip_id]
            by_tag.setdefault(view.emotion or "unlabelled", []).append(values[np.isfinite(values)])
    if not by_tag:
        return None
    try:
        planes = read_planes(snapshot, dataset, expression)["pooled"].planes
        edges = next((plane.bin_edges for plane in planes.values()), None)
    except (NothingToDo, KeyError):
        edges = None
    joined = {tag: np.concatenate(parts) for tag, parts in sorted(by_tag.items())}
    top = float(np.quantile(np.concatenate(list(joined.values())), 0.995))  # one yawn is no axis
    joined = {tag: values[values <= top] for tag, values in joined.items()}
    return histograms(joined, edges, "Mouth aspect ratio", x="MAR").uri


def _chosen(views: Sequence[ClipView], count: int) -> list[ClipView]:
    usable = [view for view in views if view.usable]
    flagged = sorted((v for v in usable if v.flags), key=lambda v: -len(v.flags))[:count]
    rest = [view for view in usable if not view.flags]
    room = min(count - len(flagged), len(rest))
    even = np.linspace(0, len(rest) - 1, room).astype(int) if room > 0 else []
    return flagged + [rest[int(i)] for i in even]


def _card(snapshot: Snapshot, dataset: str, view: ClipView, mouths: dict[str, Any]) -> Card:
    sound = None
    if snapshot.state(dataset, view.clip_id, "audio/waveform") == "valid":
        sound = snapshot.read(dataset, "audio/waveform", view.clip_id) / np.float32(32_768)
    quality = view.facts.get("quality", {})
    video, crop = view.facts.get("video", {}), view.facts.get("crop", {})
    numbers = [
        ("frames", f"{view.frames}"),
        ("source", f"{video.get('source_fps') or '?'} fps, {crop.get('source_size', '?')}"),
        ("face", f"{quality.get('face_found_percent', '?')} %, {crop.get('face_side', '?')} px"),
        ("sharpness", f"{quality.get('sharpness', '?')}"),
        ("yaw", f"{quality.get('yaw_deg', '?')}"),
        ("pose error", f"{quality.get('pose_error_px', '?')} px"),
        ("sound", f"{quality.get('audio_level_dbfs', 'none')} dBFS"),
    ]
    if quality.get("av_lag_s") is not None:
        numbers.append(("sound after lips", f"{quality['av_lag_s']:+.2f} s"))
    return Card(
        view,
        strip(snapshot, dataset, view.clip_id, set(snapshot.features(dataset))),
        Markup(timeline_svg(mouths.get(view.clip_id), sound)),
        numbers,
    )

"""Strips of frames and small curves, drawn without a plotting library: one page has many."""

import base64
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from flows.report.cache_part import drawn
from pipeline.lag import loudness
from store import Snapshot

FRAMES = 6
QUALITY = 72
WIDTH, HEIGHT = 600, 64


def data_uri(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """A picture inside the page, as JPEG."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def strip(snapshot: Snapshot, dataset: str, clip_id: str, features: set[str]) -> str | None:
    """Frames evenly over the clip with masks tinted and landmarks dotted, as a data URI."""
    needed = ("video/rgb", "face/landmarks", "parsing/selfie")
    if not features.issuperset(needed):
        return None
    if any(snapshot.state(dataset, clip_id, name) != "valid" for name in needed):
        return None
    pictures = []
    for at in np.linspace(0, snapshot.frames(dataset, clip_id) - 1, FRAMES).astype(int):
        parts = [snapshot.read(dataset, name, clip_id, int(at), int(at) + 1)[0] for name in needed]
        pictures.append(drawn(*parts))
    return data_uri(np.concatenate(pictures, axis=1))


def timeline_svg(
    mouth: Float[np.ndarray, " frames"] | None, sound: Float[np.ndarray, "frames 640"] | None
) -> str:
    """Mouth opening as a line over the loudness as an area; stretches without a face are marked."""
    parts = []
    if sound is not None:
        level = loudness(sound.reshape(-1))
        spread = max(float(np.ptp(level)), 1.0)
        tops = HEIGHT - (level - level.min()) / spread * (HEIGHT - 4)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(_across(tops), tops, strict=True))
        parts.append(f'<polygon class="voice" points="0,{HEIGHT} {points} {WIDTH},{HEIGHT}"/>')
    if mouth is not None and np.isfinite(mouth).any():
        low, high = np.nanpercentile(mouth, [0, 100])
        tall = HEIGHT - 3 - (mouth - low) / max(float(high - low), 1e-6) * (HEIGHT - 8)
        across = _across(mouth)
        seen = np.isfinite(mouth)
        edges = np.flatnonzero(np.diff(np.r_[False, seen, False].astype(int)))
        for start, end in edges.reshape(-1, 2):
            line = " ".join(f"{across[i]:.1f},{tall[i]:.1f}" for i in range(start, end))
            parts.append(f'<polyline class="mouth" points="{line}"/>')
        for start, end in np.flatnonzero(np.diff(np.r_[False, ~seen, False].astype(int))).reshape(
            -1, 2
        ):
            wide = WIDTH * (end - start) / len(mouth)
            left = WIDTH * start / len(mouth)
            parts.append(
                f'<rect class="lost" x="{left:.1f}" y="0" width="{wide:.1f}" height="{HEIGHT}"/>'
            )
    if not parts:
        return ""
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">{inside}</svg>'


def _across(values: np.ndarray) -> np.ndarray:
    return (np.arange(len(values)) + 0.5) * WIDTH / len(values)


def histogram_svg(
    values: Float[np.ndarray, " n"], low: float | None, high: float | None, bins: int = 24
) -> str:
    """Bars over the values' range; those beyond a limit stand out, limits are dashed."""
    edges = [float(v) for v in (low, high) if v is not None]
    first, last = min([values.min(), *edges]), max([values.max(), *edges])
    if first == last:
        first, last = first - 0.5, last + 0.5
    counts, places = np.histogram(values, bins, (first, last))
    wide = 240 / bins
    parts = []
    for count, left, right in zip(counts, places[:-1], places[1:], strict=True):
        tall = 56 * count / max(counts.max(), 1)
        middle = (left + right) / 2
        beyond = (low is not None and middle < low) or (high is not None and middle > high)
        x = 240 * (left - first) / (last - first)
        parts.append(
            f'<rect class="{"bad" if beyond else "bar"}" x="{x + 0.5:.1f}" y="{60 - tall:.1f}" '
            f'width="{wide - 1:.1f}" height="{tall:.1f}"/>'
        )
    for edge in edges:
        x = 240 * (edge - first) / (last - first)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="60"/>')
    parts.append(f'<text x="0" y="73">{first:.3g}</text>')
    parts.append(f'<text x="240" y="73" text-anchor="end">{last:.3g}</text>')
    return f'<svg viewBox="0 0 240 76">{"".join(parts)}</svg>'

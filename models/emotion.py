"""Emotions over time: "neutral@0-2, happy@3-5:0.8" becomes weighted normals for every frame.

Grammar (blanks are free)::

    timeline = segment ("," segment)*
    segment  = tags ["@" start ["-" end]] [":" intensity]
    tags     = tag ["*" weight] ("+" tag ["*" weight])*

A segment without a time lasts as long as the sound and stands alone; one with a start only is a
point passed through. Between two segments the weights go linearly from the first to the second
(EmoHead, appendix B.3: w_1 is replaced by w_2 and probed linearly); where one begins as the other
ends, the change takes `EASE` seconds round the border. Before the first and after the last segment
their weights hold.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from models.errors import EmotionError
from pipeline import clock
from pipeline.hyperplanes import HyperplaneSet

EASE = 0.4
"""Seconds that the change takes between two segments that touch."""

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_SEGMENT = re.compile(
    rf"(?P<tags>[^@:]+?)\s*(?:@\s*(?P<start>{_NUMBER})\s*(?:-\s*(?P<end>{_NUMBER})\s*)?)?"
    rf"(?::\s*(?P<intensity>{_NUMBER})\s*)?"
)
_TAG = re.compile(rf"(?P<tag>[A-Za-z_]+)\s*(?:\*\s*(?P<weight>{_NUMBER}))?")


@dataclass(frozen=True)
class Segment:
    """Weights that hold from start to end."""

    weights: tuple[tuple[str, float], ...]
    """(tag, weight) pairs, intensity multiplied in; 1 is the tag as it was recorded."""
    start: float | None
    """Seconds; None: from the beginning."""
    end: float | None
    """Seconds; None: to the end of the sound."""


@dataclass(frozen=True)
class Timeline:
    """Segments in order of time."""

    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> "Timeline":
        """Read the grammar above.

        Raises:
            EmotionError: not of the grammar, times that overlap or run backwards.
        """
        segments = [_parse_segment(part.strip(), text) for part in text.split(",")]
        if len(segments) > 1 and any(segment.start is None for segment in segments):
            raise EmotionError(
                f"timeline {text!r}: a segment without a time lasts as long as the sound and "
                "cannot stand beside others; write tag@start-end"
            )
        segments.sort(key=lambda segment: segment.start or 0.0)
        for a, b in pairwise(segments):
            if a.end is not None and b.start is not None and b.start < a.end:
                raise EmotionError(
                    f"timeline {text!r}: {_names(b)} starts at {b.start} s, before {_names(a)} "
                    f"ends at {a.end} s; let them touch, or join them with '+'"
                )
        return cls(tuple(segments))

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags, in order of first appearance."""
        return tuple(dict.fromkeys(tag for s in self.segments for tag, _ in s.weights))

    def weights(self, frames: int) -> Float64[np.ndarray, "frames tags"]:
        """Weight of each of `tags` at each frame's centre.

        Raises:
            EmotionError: a segment lies beyond the end of the sound.
        """
        duration = frames / clock.FPS
        for segment in self.segments:
            last = segment.end if segment.end is not None else segment.start
            if last is not None and last > duration + 1 / clock.FPS:
                raise EmotionError(
                    f"timeline: {_names(segment)} reaches {last} s, the sound ends at "
                    f"{duration:.2f} s; shorten the timeline or give longer sound"
                )
        times, values = _keys(self.segments, duration, self.tags)
        centres = (np.arange(frames) + 0.5) / clock.FPS
        return np.stack([np.interp(centres, times, column) for column in values.T], axis=1)

    def normals(self, planes: HyperplaneSet, frames: int) -> Float64[np.ndarray, "frames k"]:
        """Σ_z weight_z(i) w_z for each frame i: what takes the place of w_z in eq. 9.

        Raises:
            EmotionError: a tag without hyperplane (the nearest known name is suggested), or a
                timeline that does not fit the sound.
        """
        check_tags(self.tags, planes)
        w = np.stack([planes.planes[tag].w for tag in self.tags])
        return self.weights(frames) @ w


def check_tags(tags: Iterable[str], planes: HyperplaneSet) -> None:
    """Hold tags against the hyperplanes there are.

    Raises:
        EmotionError: names the unknown tag, why it has no plane, and the nearest known one.
    """
    known = sorted(planes.planes)
    for tag in tags:
        if tag in planes.planes:
            continue
        if tag in planes.rejected:
            raise EmotionError(
                f"emotion {tag!r} has no hyperplane for {planes.scope!r}: {planes.rejected[tag]}"
            )
        near = difflib.get_close_matches(tag, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise EmotionError(
            f"emotion {tag!r} is not known for {planes.scope!r}; {hint}"
            f"known: {', '.join(known) or 'none'}"
        )


def _parse_segment(part: str, text: str) -> Segment:
    found = _SEGMENT.fullmatch(part)
    tags = [_TAG.fullmatch(piece.strip()) for piece in found["tags"].split("+")] if found else []
    if not found or not all(tags):
        raise EmotionError(
            f"timeline {text!r}: cannot read {part!r}; write tag@start-end:intensity, "
            "for example 'neutral@0-2, happy@3-5:0.8'"
        )
    intensity = float(found["intensity"] or 1)
    weights: dict[str, float] = {}
    for tag in filter(None, tags):
        name = tag["tag"].lower()
        weights[name] = weights.get(name, 0.0) + float(tag["weight"] or 1) * intensity
    start = None if found["start"] is None else float(found["start"])
    end = start if found["end"] is None else float(found["end"])
    if start is not None and end is not None and end < start:
        raise EmotionError(f"timeline {text!r}: {part!r} ends at {end} s, before its start")
    return Segment(tuple(weights.items()), start, end)


def _keys(
    segments: tuple[Segment, ...], duration: float, tags: tuple[str, ...]
) -> tuple[Float64[np.ndarray, " keys"], Float64[np.ndarray, "keys tags"]]:
    """Corner points of the piecewise linear weights."""
    spans = [
        [0.0 if s.start is None else s.start, duration if s.end is None else s.end]
        for s in segments
    ]
    half = [(end - start) / 2 for start, end in spans]
    for i in range(len(spans) - 1):
        if spans[i + 1][0] == segments[i].end:  # they touch: share the ease between them
            ease = min(EASE / 2, half[i], half[i + 1])
            spans[i][1] -= ease
            spans[i + 1][0] += ease
    times, values = [], []
    for segment, (start, end) in zip(segments, spans, strict=True):
        row = [dict(segment.weights).get(tag, 0.0) for tag in tags]
        times += [start, end]
        values += [row, row]
    return np.array(times), np.array(values)


def _names(segment: Segment) -> str:
    return "+".join(tag for tag, _ in segment.weights)

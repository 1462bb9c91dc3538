"""Everything that can be said of a generated video, beside its reference if there is one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from render.errors import MetricError
from render.metrics.action_units import action_unit_error, action_units
from render.metrics.alone import Margins, measure_one
from render.metrics.face_shape import likeness, mean_shape
from render.metrics.judges import Judges
from render.metrics.landmark_error import MOUTH_68, eye_distance, frame_distances, ibug
from render.metrics.measured import Measured, not_measured
from render.metrics.pictures import as_float, psnr, whole_ssim
from render.metrics.watching import Reduced, Watched, reduced, watch

VERSION = "2"
"""Goes into the key of stored results: raise it when a number would come out different."""


@dataclass(frozen=True)
class PairOptions:
    """What may be done to videos that do not fit together; nothing is done unasked."""

    resize: bool = False
    """Scale the generated frames to the reference's size."""
    trim: bool = False
    """Compare the frames both have, from the start."""
    drawn: int | None = None
    """Width at which the generated frames were drawn, pixels, where they were enlarged since."""


@dataclass(frozen=True, eq=False)
class PairScore:
    """The results of one pair."""

    generated: dict[str, Measured]
    """Every metric of a pair or a video, by its key."""
    reference: dict[str, Measured]
    """What can be said of the reference alone; empty without one."""
    facts: dict[str, Any]
    """JSON-able: the two files and what was done to them."""
    features: dict[str, Float[np.ndarray, "n dim"]] = field(default_factory=dict)
    """Inception features of `generated` and `reference`, for FID over many pairs."""
    reduced: dict[str, Measured] = field(default_factory=dict)
    """Where the generated video is drawn smaller than the reference: every metric of the reference
    brought to that size, in the generated one's place: what a video that is perfect but for its
    size would get. Empty where both are of one size."""

    @property
    def drawn(self) -> tuple[int, int] | None:
        """Size at which `reduced` was measured."""
        at = self.facts.get("reduced")
        return (at[0], at[1]) if at else None


def score_pair(
    generated: Path,
    reference: Path | None = None,
    *,
    judges: Judges | None = None,
    options: PairOptions | None = None,
    emotion: str | None = None,
    margins: Margins | None = None,
) -> PairScore:
    """Measure what can be measured; what cannot carries its reason.

    Args:
        generated: any video ffmpeg reads; it is brought onto the 25 fps grid.
        reference: the true video of the same frames; None: only what needs none.
        judges: networks and programs.
        options: see `PairOptions`.
        emotion: canonical tag the video should show, for ER and hyperplane side.
        margins: signed distance of each frame from the emotion's hyperplane.

    Raises:
        MediaError: a file is no video.
        MetricError: `options.drawn` is wider than the video.
    """
    judges, options = judges or Judges(), options or PairOptions()
    ours = watch(generated, options.drawn)
    cells = measure_one(ours, judges, emotion, margins)
    facts: dict[str, Any] = {"generated": ours.record, "emotion": emotion}
    features = _features(judges, ours, "generated")
    if reference is None:
        for key in _PAIRED:
            cells[key] = not_measured(key, "no reference video was given")
        return PairScore(cells, {}, facts, features)
    truth = watch(reference)
    facts |= {"reference": truth.record, "resized": False, "trimmed": False}
    features |= _features(judges, truth, "reference")
    cells |= _compare(ours, truth, judges, options, facts)
    small: dict[str, Measured] = {}
    if smaller(ours, truth):
        facts["reduced"] = list(ours.drawn)
        brought = reduced(truth, ours.drawn, ours.size)
        small = measure_one(brought, judges, emotion, margins)
        small |= _compare(brought, truth, judges, options, {})
    return PairScore(cells, measure_one(truth, judges, emotion, margins), facts, features, small)


def smaller(ours: Watched, truth: Watched) -> bool:
    """Whether the generated video was drawn smaller than the true one, in the same shape.

    One of another shape shows another part of the scene, or a squeezed one: bringing the truth to
    it would say nothing.
    """
    across, down = (a / b for a, b in zip(ours.drawn, truth.size, strict=True))
    pixel = 1 / min(truth.size)
    return across < 1 and down < 1 and abs(across - down) <= 2 * pixel


_PICTURES = ("psnr", "ssim", "lpips")
_POINTS = ("m_lmd", "f_lmd", "m_lmd_eyes", "f_lmd_eyes")
_UNITS = ("aue", "aue_lower", "aue_upper")
_SHAPE = ("identity", "identity_distance")
_PAIRED = (*_PICTURES, *_POINTS, *_UNITS, *_SHAPE)


def _compare(
    ours: Watched, truth: Watched, judges: Judges, options: PairOptions, facts: dict[str, Any]
) -> dict[str, Measured]:
    out = guarded(_SHAPE, lambda: _shape(ours, truth))
    frames = min(len(ours), len(truth))
    if len(ours) != len(truth):
        facts["trimmed"] = options.trim
        if not options.trim:
            why = (
                f"{len(ours)} frames against {len(truth)} of the reference; --trim compares the "
                f"first {frames}"
            )
            return out | {key: not_measured(key, why) for key in (*_PICTURES, *_POINTS, *_UNITS)}
    if ours.size != truth.size and not options.resize:
        why = (
            f"{ours.size[0]}x{ours.size[1]} px against {truth.size[0]}x{truth.size[1]} of the "
            "reference; --resize scales the generated frames"
        )
        out |= {key: not_measured(key, why) for key in (*_PICTURES, *_POINTS)}
    else:
        facts["resized"] = ours.size != truth.size
        out |= _pictures(ours, truth, frames, judges)
        out |= guarded(_POINTS, lambda: _points(ours, truth, frames))
    return out | guarded(_UNITS, lambda: _units(ours, truth, frames, judges))


def _pictures(ours: Watched, truth: Watched, frames: int, judges: Judges) -> dict[str, Measured]:
    rows: dict[str, list[float]] = {key: [] for key in _PICTURES}
    failed: dict[str, str] = {}
    network: Any = None
    told = ""
    try:
        network, told = judges.lpips()
    except MetricError as error:
        failed["lpips"] = str(error)
    for made, true in pairs(ours, truth, frames):
        a, b = as_float(made), as_float(true)
        rows["psnr"].append(psnr(a, b))
        if "ssim" not in failed:
            try:
                rows["ssim"].append(whole_ssim(a, b))
            except MetricError as error:
                failed["ssim"] = str(error)
        if "lpips" not in failed:
            from render.metrics.perceptual import lpips

            try:
                rows["lpips"].append(lpips(network, made, true))
            except MetricError as error:
                failed["lpips"] = str(error)
    size = f"{truth.size[0]}x{truth.size[1]} px"
    notes = {"psnr": size, "ssim": size, "lpips": f"{size}; {told}"}
    return {
        key: not_measured(key, failed[key])
        if key in failed
        else Measured(key, float(np.mean(values)), note=notes[key], count=len(values))
        for key, values in rows.items()
    }


def pairs(
    ours: Watched, truth: Watched, frames: int
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]]:
    """Frames side by side, ours at the reference's size."""
    for at, (made, true) in enumerate(zip(ours.frames, truth.frames, strict=False)):
        if at == frames:
            return
        if made.shape != true.shape:
            smaller = true.shape[0] < made.shape[0]
            kernel = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            made = np.asarray(cv2.resize(made, truth.size, interpolation=kernel), np.uint8)
        yield made, true


def _points(ours: Watched, truth: Watched, frames: int) -> dict[str, Measured]:
    a, b = ibug(ours.landmarks[:frames]), ibug(truth.landmarks[:frames])
    a = a * (np.array(truth.size) / np.array(ours.size))
    both = np.isfinite(a[:, 0, 0]) & np.isfinite(b[:, 0, 0])
    if not both.any():
        raise MetricError(f"no face in both videos in any of {frames} frames")
    a, b = a[both], b[both]
    mouth, face = frame_distances(a[:, MOUTH_68], b[:, MOUTH_68]), frame_distances(a, b)
    eyes = eye_distance(b)
    note = f"{truth.size[0]}x{truth.size[1]} px"
    if not both.all():
        note += f"; a face in both in {int(both.sum())} of {frames} frames"
    values = {
        "m_lmd": mouth.mean(),
        "f_lmd": face.mean(),
        "m_lmd_eyes": 100 * (mouth / eyes).mean(),
        "f_lmd_eyes": 100 * (face / eyes).mean(),
    }
    return {k: Measured(k, float(v), note=note, count=int(both.sum())) for k, v in values.items()}


def _units(ours: Watched, truth: Watched, frames: int, judges: Judges) -> dict[str, Measured]:
    program = judges.openface()
    if isinstance(ours.frames, Reduced) or isinstance(truth.frames, Reduced):
        raise MetricError("OpenFace reads files; there is none of the reference brought to size")
    same = ours.frames.facts["source_frames"], truth.frames.facts["source_frames"]
    if same != (len(ours), len(truth)):
        raise MetricError(
            f"OpenFace reads the files' own frames ({same[0]} and {same[1]}), not the 25 fps grid "
            f"({len(ours)} and {len(truth)}); bring both to 25 fps first"
        )
    a = action_units(program, ours.path)[:frames]
    b = action_units(program, truth.path)[:frames]
    return {
        key: Measured(key, value, note=f"{program.name}", count=frames)
        for key, value in action_unit_error(a, b).items()
    }


def _shape(ours: Watched, truth: Watched) -> dict[str, Measured]:
    cosine, distance = likeness(mean_shape(ours.landmarks), mean_shape(truth.landmarks))
    count = int(min(ours.seen.sum(), truth.seen.sum()))
    return {
        "identity": Measured("identity", cosine, count=count),
        "identity_distance": Measured("identity_distance", distance, count=count),
    }


def _features(judges: Judges, video: Watched, name: str) -> dict[str, np.ndarray]:
    """Inception features of every frame; nothing where there is no network."""
    try:
        network, _ = judges.inception()
    except MetricError:
        return {}
    from render.metrics.inception import features

    rows, batch = [], []
    for frame in video.frames:
        batch.append(frame)
        if len(batch) == 8:
            rows.append(features(network, np.stack(batch)))
            batch = []
    if batch:
        rows.append(features(network, np.stack(batch)))
    return {name: np.concatenate(rows).astype(np.float32)}


def guarded(
    keys: tuple[str, ...], measure: Callable[[], dict[str, Measured]]
) -> dict[str, Measured]:
    """The cells, or for every key the reason why there is none."""
    try:
        return measure()
    except MetricError as error:
        return {key: not_measured(key, str(error)) for key in keys}

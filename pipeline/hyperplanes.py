"""Emotion hyperplanes: one linear SVM per tag in the space of whitened coefficients.

EmoHead, section III-B and appendix B: the normal w_z separates frames of tag z from the rest;
moving an expression along +w_z makes it more z. Each normal has unit length and keeps its bias, so
that the margin of a frame, w_z . whiten(x) + b, is its signed distance from the plane in whitened
units, comparable across tags and identities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float64, Int

from pipeline.errors import InputError
from pipeline.hyperplane_config import HyperplaneConfig
from pipeline.mouth_groups import group_edges, group_of
from pipeline.svm import balanced_accuracy, balanced_plane, held_out_accuracy
from pipeline.whitening import Whitening, fit_whitening

POOLED = "pooled"
"""Scope of the planes fitted on all identities together."""


@dataclass(frozen=True)
class Hyperplane:
    """The plane of one tag."""

    tag: str
    w: Float64[np.ndarray, " k"]
    """Unit normal in whitened units."""
    b: float
    """Bias after dividing by the normal's length."""
    bin_edges: Float64[np.ndarray, " edges"]
    """MAR edges of the groups."""
    bin_counts: Int[np.ndarray, " groups"]
    """Frames of the scarcer class in each group (drawn ones, where frames are drawn); 0 where a
    group lacks one of them."""
    accuracy: float | None
    """Balanced accuracy on frames of held-out clips; None where that could not be measured."""
    accuracy_note: str
    """How it was measured, or why not."""
    train_accuracy: float
    """Balanced accuracy on all frames of the fit."""
    margin: float
    """Mean margin of the tag's own frames: where "fully z" lies."""
    rest_margin: float
    """Mean margin of all other frames."""
    clips: int
    """Clips of the tag."""
    frames: int
    """Frames of the tag before sampling."""


@dataclass(frozen=True)
class HyperplaneSet:
    """All planes of one scope, and the whitening they live in."""

    scope: str
    """An identity, or `pooled`."""
    feature: str
    """Expression feature they were fitted on."""
    names: tuple[str, ...]
    """Names of the coefficients."""
    whitening: Whitening
    """Raw to whitened. For `pooled`: does nothing, its input is whitened per identity before."""
    planes: Mapping[str, Hyperplane]
    rejected: Mapping[str, str]
    """Tags without a plane, each with the reason and the cure."""
    config: HyperplaneConfig = field(default_factory=HyperplaneConfig)

    def plane(self, tag: str) -> Hyperplane:
        """The plane of a tag.

        Raises:
            InputError: there is none; says why, and which there are.
        """
        if tag in self.planes:
            return self.planes[tag]
        why = self.rejected.get(tag, "no clip carries this tag")
        have = ", ".join(sorted(self.planes)) or "none"
        raise InputError(f"no hyperplane for {tag!r} in scope {self.scope!r}: {why}; have: {have}")

    def margins(self, tag: str, raw: Float[np.ndarray, "frames k"]) -> Float[np.ndarray, " frames"]:
        """Signed distance of raw coefficients from the tag's plane, whitened units."""
        plane = self.plane(tag)
        return self.whitening.whiten(raw) @ plane.w.astype(raw.dtype) + raw.dtype.type(plane.b)


def fit_hyperplanes(
    alpha: Float[np.ndarray, "frames k"],
    mar: Float[np.ndarray, " frames"],
    tags: Sequence[str],
    clip_ids: Sequence[str],
    config: HyperplaneConfig | None = None,
    *,
    scope: str = POOLED,
    feature: str = "expression/semantic",
    names: tuple[str, ...] | None = None,
    whitening: Whitening | None = None,
) -> HyperplaneSet:
    """Fit one plane per tag against the rest.

    Args:
        alpha: raw coefficients a frame; rows that are not finite (no face) are left out.
        mar: mouth aspect ratio a frame.
        tags: canonical emotion a frame; "" where none is known: such frames count for the
            whitening alone.
        clip_ids: clip a frame, for the held-out estimate.
        config: see `HyperplaneConfig`.
        scope: whose frames these are.
        feature: name of the expression feature.
        names: names of the coefficients.
        whitening: statistics to use; by default those of `alpha`.

    Raises:
        InputError: lengths differ, nothing is finite, the mouth never moves, or there is one tag.
    """
    config = config or HyperplaneConfig()
    lengths = {"alpha": len(alpha), "mar": len(mar), "tags": len(tags), "clip_ids": len(clip_ids)}
    if len(set(lengths.values())) > 1:
        raise InputError(f"hyperplanes of {scope!r}: lengths differ: {lengths}")
    names = names or tuple(str(i) for i in range(alpha.shape[1]))
    whitening = whitening or fit_whitening(alpha, names)
    labels = np.asarray(tags, dtype=str)
    finite = np.isfinite(alpha).all(axis=1) & np.isfinite(mar) & (labels != "")
    tag_names, kind = np.unique(labels[finite], return_inverse=True)
    clip = np.unique(np.asarray(clip_ids, dtype=str)[finite], return_inverse=True)[1]
    if len(tag_names) < 2:
        raise InputError(
            f"hyperplanes of {scope!r}: a plane divides one emotion from the others, found "
            f"{len(tag_names)} ({', '.join(tag_names) or 'no labelled frame with a face'}); "
            "add clips of another emotion"
        )
    white = whitening.whiten(alpha[finite].astype(np.float64))
    mouth = mar[finite].astype(np.float64)
    edges = group_edges(mouth, config.groups, config.low_quantile, config.high_quantile)
    group = group_of(mouth, edges)
    planes, rejected = {}, {}
    for index, tag in enumerate(tag_names):
        result = _fit_tag(str(tag), index, white, group, kind, clip, edges, config)
        if isinstance(result, str):
            rejected[str(tag)] = result
        else:
            planes[str(tag)] = result
    return HyperplaneSet(scope, feature, names, whitening, planes, rejected, config)


def fit_scopes(
    alpha: Float[np.ndarray, "frames k"],
    mar: Float[np.ndarray, " frames"],
    tags: Sequence[str],
    clip_ids: Sequence[str],
    identities: Sequence[str],
    config: HyperplaneConfig | None = None,
    *,
    feature: str = "expression/semantic",
    names: tuple[str, ...] | None = None,
    known: Mapping[str, HyperplaneSet] | None = None,
) -> tuple[dict[str, HyperplaneSet], dict[str, str]]:
    """Planes of every identity and the pooled ones; identities without statistics, with reasons.

    An identity whose planes are all refused (one emotion only) still gets its set: the whitening.

    Pooled planes see each identity in its own whitened units, so one person's resting face is not
    taken for an emotion; they live in the units of whichever identity they are applied to.

    `known`: sets of identities whose frames are what they were fitted on; they are taken as they
    are. The pooled planes are always fitted.
    """
    who = np.asarray(identities, dtype=str)
    if len(who) != len(alpha):
        raise InputError(f"hyperplanes: {len(alpha)} frames but {len(who)} identities")
    tag_array, clip_array = np.asarray(tags, dtype=str), np.asarray(clip_ids, dtype=str)
    names = names or tuple(str(i) for i in range(alpha.shape[1]))
    config = config or HyperplaneConfig()
    sets: dict[str, HyperplaneSet] = {}
    refused: dict[str, str] = {}
    pooled = np.full(alpha.shape, np.nan)

    def fit(scope: str, rows: np.ndarray, values: np.ndarray, whitening: Whitening) -> None:
        try:
            sets[scope] = fit_hyperplanes(
                values[rows], mar[rows], tag_array[rows].tolist(), clip_array[rows].tolist(),
                config, scope=scope, feature=feature, names=names, whitening=whitening,
            )  # fmt: skip
        except InputError as error:  # the whitening is worth keeping: heads and networks need it
            reasons = {tag: str(error) for tag in map(str, np.unique(tag_array[rows])) if tag}
            sets[scope] = HyperplaneSet(scope, feature, names, whitening, {}, reasons, config)

    for identity in map(str, np.unique(who)):
        rows = who == identity
        try:
            whitening = fit_whitening(alpha[rows], names)
        except InputError as error:
            refused[identity] = str(error)
            continue
        pooled[rows] = whitening.whiten(alpha[rows].astype(np.float64))
        if known is not None and identity in known:
            sets[identity] = known[identity]
        else:
            fit(identity, rows, alpha, whitening)
    fit(POOLED, np.ones(len(alpha), dtype=bool), pooled, Whitening.unit(alpha.shape[1]))
    return sets, refused


def _fit_tag(
    tag: str,
    index: int,
    white: Float64[np.ndarray, "frames k"],
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    clip: Int[np.ndarray, " frames"],
    edges: Float64[np.ndarray, " edges"],
    config: HyperplaneConfig,
) -> Hyperplane | str:
    """The plane of one tag, or the reason why there is none."""
    positive = kind == index
    rng = np.random.default_rng([config.seed, index])
    plane, counts = balanced_plane(white, positive, group, kind, config, rng)
    shared = int((counts > 0).sum())
    if plane is None or counts.sum() < config.min_frames:
        return (
            f"{counts.sum()} balanced frames of {int(positive.sum())} with this tag, "
            f"{config.min_frames} are needed; add clips of {tag!r} or of the other emotions"
        )
    if shared < config.min_groups:
        return (
            f"{shared} of {config.groups} mouth groups hold both {tag!r} and other frames, "
            f"{config.min_groups} are needed; add clips of {tag!r} with more speech"
        )
    w, b = plane
    margins = white @ w + b
    accuracy, note = held_out_accuracy(white, positive, group, kind, clip, config, index)
    return Hyperplane(
        tag=tag,
        w=w,
        b=b,
        bin_edges=edges,
        bin_counts=counts,
        accuracy=accuracy,
        accuracy_note=note,
        train_accuracy=balanced_accuracy(margins > 0, positive),
        margin=float(margins[positive].mean()),
        rest_margin=float(margins[~positive].mean()),
        clips=len(np.unique(clip[positive])),
        frames=int(positive.sum()),
    )

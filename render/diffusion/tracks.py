"""Stretches of a clip's sound and coefficients as the network's conditions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.diffusion.conditions import Conditions


def conditions_of(
    tracks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    starts: Sequence[int],
    frames: int,
    margin: int,
) -> Conditions:
    """Conditions of frames start..start + frames of each track, nothing dropped.

    Frames beyond a track's ends are not known: neither heard nor felt.

    Args:
        tracks: of each window's clip: sound [V, audio], coefficients [V, k], what is
            known of its emotion [V, told] or None.
        starts: first frame; may be negative (motion frames before the clip).
        frames: T.
        margin: m, see `NetworkConfig.audio_margin`.
    """
    rows = []
    for (audio, expression, asked), start in zip(tracks, starts, strict=True):
        at = start + np.arange(frames)
        near = at[:, None] + np.arange(-margin, margin + 1)
        inside = (near >= 0) & (near < len(audio))
        felt = _rows(expression, at)
        rows.append(
            (
                audio[np.where(inside, near, 0)],
                inside,
                np.nan_to_num(felt),
                np.isfinite(felt).all(axis=1),
                None if asked is None else np.nan_to_num(_rows(asked, at)),
            )
        )
    audio, inside, felt, known, asked = zip(*rows, strict=True)
    told = torch.ones(len(rows), dtype=torch.bool)
    return Conditions(
        _floats(audio), torch.from_numpy(np.stack(inside)), _floats(felt),
        torch.from_numpy(np.stack(known)), told, told, told,
        None if asked[0] is None else _floats(asked),
    )  # fmt: skip


def _rows(track: Float[np.ndarray, "all ..."], at: np.ndarray) -> Float[np.ndarray, "frames ..."]:
    """Rows of a track, NaN beyond its ends."""
    found = np.full((len(at), *track.shape[1:]), np.nan, np.float32)
    here = (at >= 0) & (at < len(track))
    found[here] = track[at[here]]
    return found


def _floats(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(rows).astype(np.float32, copy=False))

"""Masked noisy emotion sampling (MoEE): another emotion's face over one's own speech.

Sound and face of a recording agree, so that a network told a label may leave it unread. A noisy
window takes its label and its face, but for the mouth, partly or wholly from another clip of the
same person in another emotion: with share a

    label  = (1 - a) · own label + a · other label
    target = own + a · N (other - own),    N = I - m mᵀ,

m being the direction that opens the mouth (`models.mouth`): what the lips do stays that of the
sound. Half of the noisy windows have a = 1, the others an even share of [0, 1], which teaches
intensities and compounds: coefficients of a linear face model may be mixed. Shares and their
distribution are ours (docs/decisions/0021).

A clip whose emotion nobody knows lends its speech like any other: with a = 1 its own label is not
needed. Otherwise the more such clips there were, the fewer windows would teach to read a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from models.data import ClipRow
from models.labels import label_vector
from models.mouth import MouthOpening
from models.windows import Draw


@dataclass(frozen=True)
class NoisyDraw:
    """Partners of one step's windows."""

    clip: Int[np.ndarray, " batch"]
    """Clip of the same person in another emotion; -1: the window is left as it was recorded."""
    start: Int[np.ndarray, " batch"]
    share: Float[np.ndarray, " batch"]
    """a."""


class NoisySampler:
    """Partners as a pure function of (seed, step)."""

    def __init__(
        self, clips: Sequence[ClipRow], window: int, probability: float, seed: int
    ) -> None:
        """Find each clip's possible partners; one without a tag is none, and takes them whole."""
        self.clips, self.window = tuple(clips), window
        self.probability, self.seed = probability, seed
        self._partners = [
            [
                i
                for i, other in enumerate(self.clips)
                if other.emotion
                and other.identity == clip.identity
                and other.emotion != clip.emotion
            ]
            for clip in self.clips
        ]
        self._bare = np.array([not clip.emotion for clip in self.clips])

    def draw(self, step: int, draw: Draw) -> NoisyDraw:
        """Partners of the windows that were drawn for a step."""
        batch = len(draw.clip)
        lots = np.random.default_rng([self.seed, step, 1]).random((4, batch))
        clip, start = np.full(batch, -1), np.zeros(batch, dtype=np.int64)
        for row, mine in enumerate(draw.clip):
            partners = self._partners[mine]
            if partners and lots[0, row] < self.probability:
                clip[row] = partners[int(lots[1, row] * len(partners))]
                start[row] = int(lots[2, row] * (self.clips[clip[row]].frames - self.window + 1))
        share = np.where((lots[3] < 0.5) | self._bare[draw.clip], 1.0, 2 * lots[3] - 1)
        return NoisyDraw(clip, start, np.where(clip < 0, 0.0, share))


def mixed_labels(
    own: Sequence[str],
    other: Sequence[str],
    share: Float[np.ndarray, " batch"],
    labels: Sequence[str],
) -> Float32[np.ndarray, "batch labels"]:
    """(1 - a) own + a other; an unknown own tag ("") counts as zeros, and has a = 0 or 1."""
    a = share[:, None].astype(np.float32)
    mine = np.stack([vector_or_zeros(tag, labels) for tag in own])
    theirs = np.stack([vector_or_zeros(tag, labels) for tag in other])
    return (1 - a) * mine + a * theirs


def vector_or_zeros(tag: str, labels: Sequence[str]) -> Float32[np.ndarray, " labels"]:
    """`label_vector`, zeros for no tag."""
    return label_vector(tag, labels) if tag else np.zeros(len(labels), dtype=np.float32)


def mixed_targets(
    own: Float[np.ndarray, "batch frames k"],
    other: Float[np.ndarray, "batch frames k"],
    share: Float[np.ndarray, " batch"],
    mouths: Float[np.ndarray, "batch k"],
) -> Float[np.ndarray, "batch frames k"]:
    """own + a N (other - own); rows of share 0 stay as they are, whatever `other` holds.

    Args:
        own: coefficients recorded with the sound.
        other: coefficients of the partner.
        share: a.
        mouths: m of each window, of length 1; zeros: nothing is masked.
    """
    apart = other - own
    along = np.einsum("bfk,bk->bf", apart, mouths)
    apart = apart - along[..., None] * mouths[:, None]
    moved = own + share[:, None, None].astype(own.dtype) * apart
    return np.where(share[:, None, None] > 0, moved, own).astype(own.dtype)


def mouth_directions(
    clips: Sequence[ClipRow], mouths: Mapping[str, MouthOpening], k: int, masked: bool
) -> Float32[np.ndarray, "clips k"]:
    """m of each clip's identity in whitened units; zeros where it is not known, or not masked."""
    rows = np.zeros((len(clips), k), dtype=np.float32)
    for row, clip in zip(rows, clips, strict=True):
        if masked and clip.identity in mouths:
            row[:] = mouths[clip.identity].direction
    return rows

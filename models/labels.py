"""Emotions as numbers a network reads: a weight a tag and frame; neutral is the absence of all.

An intensity scales the tag's weight; a compound emotion is several weights at once. A recording
of tag z stands for weight 1, a neutral one for zeros everywhere, so that "happy:0.5" lies half way
between what was recorded as neutral and as happy.
"""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32

from models.config import LABELS
from models.emotion import Timeline
from models.errors import EmotionError

NEUTRAL = "neutral"

COMPOUNDS: Mapping[str, Mapping[str, float]] = {
    "happily_surprised": {"happy": 0.5, "surprised": 0.5},
    "sadly_angry": {"sad": 0.5, "angry": 0.5},
    "fearfully_surprised": {"fear": 0.5, "surprised": 0.5},
    "angrily_disgusted": {"angry": 0.5, "disgusted": 0.5},
}
"""Names for even mixes. DH-FaceEmoVid-150 has four compounds; which is not known to us
(docs/decisions/0021): these four of Du, Tao and Martinez (PNAS 2014), and the even shares, are our
choice. Any other mix is written out: happy*0.7+sad*0.3."""


def label_vector(tag: str, labels: Sequence[str] = LABELS) -> Float32[np.ndarray, " labels"]:
    """Weights of one tag or compound.

    Raises:
        EmotionError: the tag is none of them; suggests the nearest.
    """
    weights = np.zeros(len(labels), dtype=np.float32)
    for name, weight in COMPOUNDS.get(tag, {tag: 1.0}).items():
        if name == NEUTRAL:
            continue
        if name not in labels:
            raise _unknown(tag, labels)
        weights[labels.index(name)] += weight
    return weights


def label_frames(
    timeline: Timeline, frames: int, labels: Sequence[str] = LABELS
) -> Float32[np.ndarray, "frames labels"]:
    """Weights of a timeline at each frame.

    Raises:
        EmotionError: a tag that is not known, or a timeline beyond the end of the sound.
    """
    vectors = np.stack([label_vector(tag, labels) for tag in timeline.tags])
    return (timeline.weights(frames) @ vectors).astype(np.float32)


def strongest(weights: Float[np.ndarray, " labels"], labels: Sequence[str] = LABELS) -> str:
    """The tag with the largest weight; neutral where all are zero."""
    return labels[int(np.argmax(weights))] if np.any(weights > 0) else NEUTRAL


def _unknown(tag: str, labels: Sequence[str]) -> EmotionError:
    known = [NEUTRAL, *labels, *COMPOUNDS]
    near = difflib.get_close_matches(tag, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return EmotionError(f"emotion {tag!r} is not known; {hint}known: {', '.join(known)}")

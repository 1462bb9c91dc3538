"""Clips whose emotion nobody knows: which are learnt from, and what they are worth (EMOdiffhead).

Such a clip teaches what the face does with the sound. A label is read in it by nobody: a network
that is told labels learns "not known" (`models.asked`), which is not neutral.
"""

from dataclasses import replace

import numpy as np

from models.data import ClipRow, TrainingData
from models.errors import ModelConfigError, TrainingDataError


def learnt_from(data: TrainingData, emotion_free: bool) -> tuple[ClipRow, ...]:
    """Training clips; without `emotion_free` only those with an emotion tag.

    Raises:
        TrainingDataError: there are some, but none has a tag.
    """
    train = data.part("train")
    chosen = tuple(clip for clip in train if emotion_free or clip.emotion)
    if train and not chosen:
        raise TrainingDataError(
            f"none of {len(train)} training clips has an emotion tag, and emotion_free is off; "
            "label clips, or set emotion_free"
        )
    return chosen


def hide_labels(data: TrainingData, share: float, seed: int) -> TrainingData:
    """The same data, the emotion of a share of the training clips forgotten; held-out ones keep it.

    Of each person's clips in each emotion the same share is hidden, to the nearest whole clip (half
    a clip: to the even number), chosen by the seed alone. Whitening, hyperplanes and the mouth's
    line stay those of all clips: they judge, and what is compared must have one judge.

    Args:
        data: clips with tags.
        share: 0 (none) to 1 (all).
        seed: of the choice.

    Raises:
        ModelConfigError: a share that is none.
    """
    if not 0 <= share <= 1:
        raise ModelConfigError(f"share of hidden labels is {share}; give 0 to 1")
    groups: dict[tuple[str, str], list[int]] = {}
    for i, clip in enumerate(data.clips):
        if clip.split == "train" and clip.emotion:
            groups.setdefault((clip.identity, clip.emotion), []).append(i)
    rng = np.random.default_rng([seed, 3])
    hidden: set[int] = set()
    for key in sorted(groups):
        hidden.update(rng.permutation(groups[key])[: round(share * len(groups[key]))].tolist())
    clips = tuple(
        replace(clip, emotion="") if i in hidden else clip for i, clip in enumerate(data.clips)
    )
    return replace(data, clips=clips)

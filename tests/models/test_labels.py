"""Emotions as weights, and what to do with words that are none."""

import numpy as np
import pytest

from models.emotion import Timeline
from models.errors import EmotionError
from models.labels import COMPOUNDS, LABELS, label_frames, label_vector, strongest


def weights(**tags: float) -> list[float]:
    return [tags.get(tag, 0.0) for tag in LABELS]


def test_neutral_is_the_absence_of_all() -> None:
    assert not label_vector("neutral").any()
    assert "neutral" not in LABELS


def test_a_tag_is_one_and_a_compound_its_shares() -> None:
    assert label_vector("happy").tolist() == weights(happy=1)
    assert label_vector("sadly_angry").tolist() == weights(sad=0.5, angry=0.5)
    for name in COMPOUNDS:
        assert label_vector(name).sum() == pytest.approx(1)


def test_a_timeline_of_intensities_and_mixes() -> None:
    frames = label_frames(Timeline.parse("neutral@0-1, happy*0.7+sad*0.3@1-3:0.5"), 75)
    assert frames.shape == (75, len(LABELS))
    assert not frames[0].any()
    assert frames[60].tolist() == pytest.approx(weights(happy=0.35, sad=0.15))


def test_unknown_words_get_the_nearest_known_one() -> None:
    with pytest.raises(EmotionError, match=r"'hapy' is not known; did you mean 'happy'\?"):
        label_vector("hapy")
    with pytest.raises(EmotionError, match=r"fear' is not known; .*known: neutral, happy"):
        label_vector("fear", ("happy",))


def test_the_strongest() -> None:
    assert strongest(np.array(weights(happy=0.2, sad=0.3))) == "sad"
    assert strongest(np.zeros(len(LABELS))) == "neutral"

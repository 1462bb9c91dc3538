"""Sound of any length is heard as clips were: in pieces that are cut where it is quiet."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talking_kit import speech

from flows.errors import FlowError
from flows.features import FeatureNames
from flows.synthesis.hearing import heard, joined, pieces
from models import SpeechFeatures
from pipeline.profiles import load_profile
from pipeline.sound import read_sound
from pipeline.transcript import Transcript, Word

NAMES = FeatureNames()


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.floats(0.2, 30),
    longest=st.floats(3, 8),
    words=st.lists(st.floats(0.02, 0.6), max_size=40),
    seed=st.integers(0, 99),
)
def test_pieces_cover_everything_and_cut_no_word(
    seconds: float, longest: float, words: list[float], seed: int
) -> None:
    frames = max(1, round(seconds * 25))
    samples = np.random.default_rng(seed).normal(size=frames * 640).astype(np.float32)
    ends = np.cumsum(words)
    said = [
        Word("w", float(end - length), float(end))
        for end, length in zip(ends, words, strict=True)
        if end < seconds
    ]
    found = pieces(samples, said, longest)
    assert [first for first, _ in found] == [0, *(past for _, past in found[:-1])]
    assert found[-1][1] == frames
    assert all(0 < past - first <= int(longest * 25) for first, past in found)
    for first, _ in found[1:]:
        at = first / 25
        assert not any(word.start + 0.041 < at < word.end - 0.041 for word in said)


def test_the_quietest_moment_is_where_sound_is_cut() -> None:
    samples = np.ones(100 * 640, np.float32)
    samples[45 * 640 - 300 : 45 * 640 + 300] = 0
    assert pieces(samples, (), 2.0) == [(0, 45), (45, 95), (95, 100)] or pieces(samples, (), 2.0)[
        0
    ] == (0, 45)


def test_long_sound_is_heard_in_pieces_each_with_its_own_words(tmp_path: Path) -> None:
    samples = read_sound(speech(tmp_path / "a.wav", 3.0))
    words = (Word("the", 0.09, 0.21), Word("show", 0.22, 0.5), Word("arrive", 2.2, 2.6))
    transcript = Transcript("the show arrive", words, source="sidecar")
    profile = load_profile("embedded")
    seen: list[tuple[int, int]] = []
    cut, facts = heard(
        profile, samples, NAMES, transcript, longest=2.0,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    whole, _ = heard(profile, samples, NAMES, transcript)
    assert cut.frames == whole.frames == 75
    assert seen[-1] == (75, 75)
    assert len(seen) == len(facts["pieces"]) == 2
    assert facts["transcript"]["text"] == "the show arrive"
    assert facts["transcript"]["words"][-1] == ["arrive", 2.2, 2.6]
    # The same frames are spoken in; each piece has tokens of its own.
    np.testing.assert_array_equal(cut.token_index >= 0, whole.token_index >= 0)
    assert cut.token_index.max() == len(cut.tokens) - 1
    with pytest.raises(FlowError, match=r"text without times for 3\.0 s of sound; up to 2 s"):
        heard(profile, samples, NAMES, Transcript("the show", source="known"), longest=2.0)


def test_joined_features_keep_their_tokens_apart() -> None:
    def part(tokens: int, index: list[int]) -> SpeechFeatures:
        frames = len(index)
        table = np.arange(tokens, dtype=np.float32)[:, None] + 10 * tokens
        zeros = np.zeros((frames, 1), np.float32)
        return SpeechFeatures(zeros, zeros, table, np.array(index, np.int32))

    both = joined([part(2, [-1, 0, 1]), part(0, [-1]), part(3, [2, -1, 0])])
    assert both.token_index.tolist() == [-1, 0, 1, -1, 4, -1, 2]
    assert both.tokens[both.token_index[4], 0] == 32

import wave
from typing import Any

import av
import numpy as np
import pytest

from pipeline.samples.deform import NAMES
from pipeline.samples.speech_files import FOLDER

STEMS = ("iris_happy_s5", "iris_neutral_s2", "milo_angry_s5")


@pytest.mark.parametrize("stem", STEMS)
def test_the_video_has_as_many_frames_as_the_truth(made: Any, stem: str):
    facts = made.sidecar(stem)
    with wave.open(str(FOLDER / f"{stem}.wav")) as sound:
        samples = sound.getnframes()
    frames = -(-samples // 640)
    with av.open(str(made.folder / f"{stem}.mp4")) as file:
        shapes = {f.to_ndarray(format="rgb24").shape for f in file.decode(video=0)}
        stream = file.streams.video[0]
        assert stream.frames == frames
        assert stream.average_rate == 25
    assert shapes == {(160, 160, 3)}
    truth = facts["truth"]
    assert truth["names"] == list(NAMES)
    assert np.shape(truth["coefficients"]) == (frames, 10)
    assert np.shape(truth["mouth_open"]) == np.shape(truth["blink"]) == (frames,)
    assert np.shape(truth["pose"]["translation"]) == (frames, 3)
    rotation = np.array(truth["pose"]["rotation"])
    assert rotation.shape == (frames, 3, 3)
    products = rotation @ rotation.transpose(0, 2, 1)
    assert np.abs(products - np.eye(3)).max() < 1e-5
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-5)
    assert truth["pose"]["focal"] == 640.0


@pytest.mark.parametrize("stem", STEMS)
def test_the_sidecar_says_who_what_and_when(made: Any, stem: str):
    facts = made.sidecar(stem)
    assert "_".join(facts[k] for k in ("identity", "emotion", "sentence")) == stem
    assert facts["split"] == ("test" if stem.endswith("s5") else "train")
    assert facts["intensity"] == (1 if facts["emotion"] == "neutral" else 3)
    seconds = len(facts["truth"]["blink"]) / 25
    for kind in ("words", "phonemes"):
        times = np.array([(item["start"], item["end"]) for item in facts[kind]])
        assert (times[:, 0] < times[:, 1]).all()
        assert (times[1:, 0] >= times[:-1, 1] - 1e-9).all()
        assert times[0, 0] > 0.05
        assert times[-1, 1] <= seconds
    spoken = facts["transcript"].lower().strip(".").split()
    assert [word["word"] for word in facts["words"]] == spoken


def test_sound_starts_with_the_first_frame(made: Any):
    stem = "iris_happy_s5"
    with wave.open(str(FOLDER / f"{stem}.wav")) as file:
        original = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    with av.open(str(made.folder / f"{stem}.mp4")) as file:
        blocks = list(file.decode(audio=0))
    assert blocks[0].pts == 0
    decoded = np.concatenate([block.to_ndarray()[0] for block in blocks])
    assert len(decoded) >= len(original)
    lags = range(-400, 401)
    core = original[2000:-2000]
    match = [np.dot(core, decoded[2000 + lag : 2000 + lag + len(core)]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 32  # 2 ms


def test_lips_meet_at_p_b_m_and_open_in_vowels(made: Any):
    for stem in STEMS:
        facts = made.sidecar(stem)
        opening = np.array(facts["truth"]["mouth_open"])

        def at(items: list[dict], opening: np.ndarray = opening):
            middles = [(p["start"] + p["end"]) / 2 for p in items]
            return np.array([opening[int(m * 25)] for m in middles])

        closed = at([p for p in facts["phonemes"] if p["phoneme"] in ("p", "b", "m")])
        vowels = at([p for p in facts["phonemes"] if p["phoneme"] in ("a", "aI", "e@", "eI")])
        assert closed.mean() < 0.5 * vowels.mean()
        assert vowels.max() > 0.15

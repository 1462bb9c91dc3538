"""Words, their times, their tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import clock
from pipeline.encoder import ClipInputs, Encoder
from pipeline.errors import MissingInput
from pipeline.features import TOKENS
from pipeline.samples import heldout_reading
from pipeline.speech.minilm import FEATURE, MiniLMEncoder, chunks, embed_words
from pipeline.speech.recogniser import cut_points, guessed_sounds, recogniser, spoken_words
from pipeline.speech.token_times import SILENCE, frame_tokens, token_spans
from pipeline.speech.words import spread, words_of
from pipeline.transcript import Transcript, Word


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return heldout_reading("iris").samples.astype(np.float32) / 32768


def clip(audio: np.ndarray | None, transcript: Transcript | None = None) -> ClipInputs:
    frames = 50 if audio is None else len(audio) // 640
    source = None if audio is None else lambda: audio[: frames * 640]
    return ClipInputs(frames, audio_source=source, transcript=transcript)


def test_known_words_win_and_need_no_sound() -> None:
    known = Transcript("hi", (Word("hi", 0.1, 0.5),), source="sidecar")
    assert words_of(clip(None, known)) == (known, "given")


def test_without_words_and_sound_it_is_said() -> None:
    with pytest.raises(MissingInput):
        words_of(clip(None))


def test_a_known_sentence_is_laid_over_the_sound(speech: np.ndarray) -> None:
    reading = heldout_reading("iris")
    transcript, timing = words_of(clip(speech, Transcript(reading.transcript, source="known")))
    assert timing == "aligned"
    assert transcript.source == "known"
    true = [w for w in reading.words if w["word"]]
    assert [w.text for w in transcript.words] == spoken_words(reading.transcript)
    late = [w.start - t["start"] for w, t in zip(transcript.words, true, strict=True)]
    assert np.median(np.abs(late)) < 0.06


def test_what_does_not_fit_is_spread_over_the_speech(speech: np.ndarray) -> None:
    short = speech[:9600]
    text = "incomprehensibilities notwithstanding the industrialisation of photography continues"
    transcript, timing = words_of(clip(short, Transcript(text)))
    assert timing == "spread"
    assert [w.text for w in transcript.words] == text.split()


def test_spread_covers_what_is_audible() -> None:
    audio = np.zeros(16_000, dtype=np.float32)
    audio[4800:12800] = 0.1
    words = spread("ab abcdef", audio)
    # audible 0.3-0.8 s, 8 letters: 2 of them take 0.125 s
    times = [(w.start, w.end) for w in words]
    assert times == [pytest.approx((0.3, 0.425)), pytest.approx((0.425, 0.8))]
    assert spread("ab", np.zeros(16_000, dtype=np.float32)) == ()


def test_recognition_does_not_depend_on_the_clip_before(speech: np.ndarray) -> None:
    listener = recogniser()
    first = listener.recognise(speech)
    listener.recognise(0.2 * np.random.default_rng(0).normal(size=32_000).astype(np.float32))
    assert listener.recognise(speech) == first
    assert first.source == "asr"
    assert len(first.words) >= 10
    assert all(0 <= w.start < w.end <= len(speech) / 16_000 + 0.1 for w in first.words)


def test_silence_has_no_words() -> None:
    assert recogniser().recognise(np.zeros(16_000, dtype=np.float32)).words == ()
    assert recogniser().recognise(np.zeros(0, dtype=np.float32)).words == ()


def test_unknown_words_get_sounds() -> None:
    assert guessed_sounds("chip") == "CH IH P"
    assert guessed_sounds("'") == "AH"


def test_long_sound_is_cut_where_it_is_quiet() -> None:
    audio = np.ones(70 * 16_000, dtype=np.float32)
    audio[25 * 16_000 : 25 * 16_000 + 1600] = 0
    cuts = cut_points(audio)
    assert cuts[1] == 25 * 16_000 + 800
    assert cuts[-1] == len(audio)
    assert max(np.diff(cuts)) <= 30 * 16_000


def test_tokens_share_their_word_by_letters() -> None:
    spans = token_spans([Word("abcd", 1.0, 2.0)], [[(0, 1), (1, 4)]])
    assert spans == [(1.0, 1.25), (1.25, 2.0)]


def test_a_frame_speaks_the_token_at_its_centre() -> None:
    # centres at 0.02, 0.06, 0.10, 0.14, 0.18
    assert frame_tokens([(0.06, 0.1), (0.1, 0.17)], 5).tolist() == [SILENCE, 0, 1, 1, SILENCE]
    assert frame_tokens([(0.0, 9.0)], 3).tolist() == [0, 0, 0]
    assert frame_tokens([], 2).tolist() == [SILENCE, SILENCE]


@given(
    spans=st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 1)), max_size=5),
    frames=st.integers(1, 60),
)
def test_frame_tokens_agree_with_the_definition(
    spans: list[tuple[float, float]], frames: int
) -> None:
    pairs = [(start, start + length) for start, length in spans]
    index = frame_tokens(pairs, frames)
    for frame, token in enumerate(index):
        centre = float(clock.frame_centre(frame))
        inside = [n for n, (a, b) in enumerate(pairs) if a + 1e-9 < centre < b - 1e-9]
        near = [n for n, (a, b) in enumerate(pairs) if a - 1e-9 <= centre <= b + 1e-9]
        assert (token == SILENCE and not inside) or token in near


@given(sizes=st.lists(st.integers(1, 9), max_size=30), limit=st.integers(1, 12))
def test_chunks_cover_all_words_once(sizes: list[int], limit: int) -> None:
    runs = chunks(sizes, limit)
    assert [i for run in runs for i in run] == list(range(len(sizes)))
    for run in runs:
        assert len(run) == 1 or sum(sizes[i] for i in run) <= limit


def test_embeddings_of_words_are_contextual_and_deterministic() -> None:
    table, pieces = embed_words(["the", "unbelievable", "bank"], 254)
    assert table.shape == (sum(len(p) for p in pieces), 384)
    assert [p[0][0] for p in pieces] == [0, 0, 0]
    assert pieces[1][-1][1] == len("unbelievable")
    again, _ = embed_words(["the", "unbelievable", "bank"], 254)
    assert np.array_equal(table, again)
    other, _ = embed_words(["the", "river", "bank"], 254)
    assert not np.allclose(table[-1], other[-1])


def test_long_text_is_read_in_pieces() -> None:
    table, pieces = embed_words(["word"] * 40, 8)
    assert len(table) == 40
    assert all(len(p) == 1 for p in pieces)


def test_encoder_writes_index_and_table(speech: np.ndarray) -> None:
    words = tuple(
        Word(w["word"], w["start"], w["end"]) for w in heldout_reading("iris").words if w["word"]
    )
    inputs = clip(speech, Transcript("", words, source="sidecar"))
    encoder = MiniLMEncoder()
    assert isinstance(encoder, Encoder)
    arrays = encoder.encode(inputs)
    index, table = arrays[FEATURE], arrays[FEATURE + TOKENS]
    encoder.outputs[0].check(index, inputs.frames)
    assert table.dtype == np.float32
    assert table.shape[1] == encoder.outputs[0].token_dim
    assert set(index) == {SILENCE, *range(len(table))}
    assert inputs.facts["transcript"]["source"] == "sidecar"
    assert inputs.facts["transcript"]["timing"] == "given"


def test_a_silent_clip_has_an_empty_table() -> None:
    arrays = MiniLMEncoder().encode(clip(np.zeros(640 * 10, dtype=np.float32)))
    assert arrays[FEATURE].tolist() == [SILENCE] * 10
    assert arrays[FEATURE + TOKENS].shape == (0, 384)


def test_identity_names_the_weights() -> None:
    weights = MiniLMEncoder().identity()["weights"]
    assert "minilm/model.safetensors" in weights
    assert any(name.startswith("pocketsphinx/") for name in weights)

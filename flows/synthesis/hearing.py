"""Sound of any length to speech features, a piece at a time.

Encoders are fed what they were fed when the cache was made: clips of at most a minute. Longer sound
is cut where it is quietest; memory follows the piece, not the speech.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from flows.errors import FlowError
from flows.features import FeatureNames
from models import SpeechFeatures, read_steps
from pipeline import clock
from pipeline.features import TOKENS
from pipeline.profiles import Profile
from pipeline.sound import speech_inputs
from pipeline.transcript import Transcript, Word

LONGEST = 60.0
"""Seconds of a piece: as long as clips are (`pipeline.scan` cuts recordings there)."""
LOOKED = 0.25
"""Share of a piece, at its end, in which the cut is looked for."""

Progress = Callable[[int, int], None]
"""Called with (frames heard, frames in all)."""


def pieces(
    samples: Float32[np.ndarray, " samples"],
    words: Sequence[Word] = (),
    longest: float = LONGEST,
) -> list[tuple[int, int]]:
    """Frames [first, past) of each piece, at most `longest` seconds.

    A cut takes at most 40 ms off a word.

    Raises:
        FlowError: one word fills the whole stretch in which to cut.
    """
    frames = len(samples) // clock.SAMPLES_PER_FRAME
    power = np.square(samples[: clock.samples_of(frames)].reshape(frames, -1)).sum(axis=1)
    free = np.ones(frames, bool)
    for word in words:
        # Words often touch, and seldom on the grid: a cut may take up to a frame off one.
        free[int(word.start * clock.FPS) + 2 : int(np.ceil(word.end * clock.FPS)) - 1] = False
    most = int(longest * clock.FPS)
    found, first = [], 0
    while frames - first > most:
        low = first + most - int(most * LOOKED)
        at = np.arange(low, first + most)
        at = at[free[at]]
        if len(at) == 0:
            raise FlowError(
                f"speech: one word lasts from {low / clock.FPS:.1f} s to "
                f"{(first + most) / clock.FPS:.1f} s; check the times of the words"
            )
        cut = int(at[np.argmin(power[at] + power[at - 1])])
        found.append((first, cut))
        first = cut
    return [*found, (first, frames)]


def heard(
    profile: Profile,
    samples: Float32[np.ndarray, " samples"],
    names: FeatureNames,
    transcript: Transcript | None = None,
    *,
    longest: float = LONGEST,
    progress: Progress | None = None,
) -> tuple[SpeechFeatures, dict[str, Any]]:
    """Speech features of 640 V samples by the encoders that made the cache, and their remarks.

    Raises:
        FlowError: a text without times for sound that must be cut: nobody knows which words
            belong to which piece.
        MediaError: an encoder cannot use the sound.
    """
    words = transcript.words if transcript else ()
    cuts = pieces(samples, words, longest)
    if transcript is not None and not words and len(cuts) > 1:
        raise FlowError(
            f"text without times for {len(samples) / clock.SAMPLE_RATE:.1f} s of sound; up to "
            f"{longest:.0f} s it is laid on the sound, beyond that leave --text out (the words are "
            "recognised), or speak the parts one after the other"
        )
    parts, remarks = [], []
    for first, past in cuts:
        sound = samples[clock.samples_of(first) : clock.samples_of(past)]
        part, facts = _piece(profile, sound, names, _within(transcript, first, past))
        parts.append(part)
        remarks.append(facts)
        if progress is not None:
            progress(past, cuts[-1][1])
    if len(remarks) == 1:
        return joined(parts), remarks[0]
    starts = [first / clock.FPS for first, _ in cuts]
    return joined(parts), {"pieces": remarks, "transcript": whole_transcript(remarks, starts)}


def whole_transcript(remarks: Sequence[dict[str, Any]], starts: Sequence[float]) -> dict[str, Any]:
    """What was said in all pieces, in seconds of the whole sound."""
    told = [remark.get("transcript", {}) for remark in remarks]
    return {
        "text": " ".join(filter(None, (piece.get("text") for piece in told))),
        "words": [
            [word, round(begin + start, 3), round(end + start, 3)]
            for piece, start in zip(told, starts, strict=True)
            for word, begin, end in piece.get("words", [])
        ],
    }


def joined(parts: Sequence[SpeechFeatures]) -> SpeechFeatures:
    """One after the other; each keeps its own tokens."""
    offsets = np.cumsum([0, *(len(part.tokens) for part in parts)])[:-1]
    index = [
        np.where(part.token_index >= 0, part.token_index + offset, part.token_index)
        for part, offset in zip(parts, offsets, strict=True)
    ]
    return SpeechFeatures(
        np.concatenate([part.audio for part in parts]),
        np.concatenate([part.emotion for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate(index).astype(parts[0].token_index.dtype),
    )


def _piece(
    profile: Profile,
    samples: Float32[np.ndarray, " samples"],
    names: FeatureNames,
    transcript: Transcript | None,
) -> tuple[SpeechFeatures, dict[str, Any]]:
    inputs = speech_inputs(samples, transcript)
    arrays: dict[str, np.ndarray] = {}
    for encoder in profile.encoders:
        if {spec.name for spec in encoder.outputs} & {names.audio, names.emotion, names.text}:
            arrays |= encoder.encode(inputs)
    features = SpeechFeatures(
        read_steps(arrays[names.audio]),
        read_steps(arrays[names.emotion]),
        arrays[names.text + TOKENS],
        arrays[names.text],
    )
    return features, dict(inputs.facts)


def _within(transcript: Transcript | None, first: int, past: int) -> Transcript | None:
    if transcript is None or not transcript.words:
        return transcript
    start, end = first / clock.FPS, past / clock.FPS
    words = tuple(
        Word(word.text, max(word.start - start, 0.0), min(word.end, end) - start)
        for word in transcript.words
        if start <= (word.start + word.end) / 2 < end
    )
    return Transcript(" ".join(word.text for word in words), words, source=transcript.source)

"""Who says what when in a clip: the corpus, then a sidecar, then a recogniser."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from pipeline import clock
from pipeline.encoder import ClipInputs
from pipeline.speech.listener import Listener, recogniser
from pipeline.transcript import Transcript, Word

Timing = Literal["given", "aligned", "spread", "asr"]
"""Where word times come from: the transcript; alignment of its text to the sound; spread evenly
over the speech because alignment failed; the recogniser that also found the words."""

QUIET_DB = 25.0
"""What lies this far under the loudest tenth of a second is not speech, dB."""


def spread(text: str, audio: Float32[np.ndarray, " samples"]) -> tuple[Word, ...]:
    """Words laid end to end over the audible stretch, each as long as it has letters."""
    tenth = clock.SAMPLE_RATE // 10
    power = np.square(audio[: len(audio) // tenth * tenth]).reshape(-1, tenth).sum(axis=1)
    words = text.split()
    if not words or not len(power) or power.max() <= 0:
        return ()
    heard = np.flatnonzero(power > power.max() * 10 ** (-QUIET_DB / 10))
    start, end = heard[0] / 10, (heard[-1] + 1) / 10
    ends = np.cumsum([len(word) for word in words]) / sum(len(word) for word in words)
    edges = start + (end - start) * np.concatenate([[0.0], ends])
    return tuple(
        Word(word, float(a), float(b))
        for word, a, b in zip(words, edges[:-1], edges[1:], strict=True)
    )


def words_of(
    inputs: ClipInputs, listen: Callable[[], Listener] = recogniser
) -> tuple[Transcript, Timing]:
    """Transcript of a clip, with word times wherever there is a word.

    Args:
        inputs: the clip; a transcript it brings wins over what a recogniser would hear.
        listen: brings the recogniser, only when it is needed.

    Raises:
        MissingInput: there are no timed words and no sound to find them in.
    """
    known = inputs.transcript
    if known is not None and known.words:
        return known, "given"
    audio = inputs.audio()
    if known is None or not known.text.strip():
        heard = listen().recognise(audio)
        if heard.words or not heard.text:
            return heard, "asr"
        words = spread(heard.text, audio)
        return Transcript(heard.text, words, source=heard.source), "spread"
    words = listen().align(audio, known.text)
    if words is not None:
        return Transcript(known.text, words, known.phonemes, known.source), "aligned"
    words = spread(known.text, audio)
    return Transcript(known.text, words, known.phonemes, known.source), "spread"


def transcript_facts(transcript: Transcript, timing: Timing) -> dict[str, Any]:
    """JSON-able record of a transcript, kept with the clip."""
    return {
        "text": transcript.text,
        "source": transcript.source,
        "timing": timing,
        "words": [[w.text, round(w.start, 3), round(w.end, 3)] for w in transcript.words],
    }

"""Who finds words in sound: pocketsphinx out of its wheel, or a FunASR folder from the shelf."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from pipeline.speech.recogniser import recogniser, settings, weights
from pipeline.transcript import Transcript, Word
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

POCKETSPHINX = "pocketsphinx"
"""Name of the recogniser that needs no weights; all others are names on the shelf."""


class Listener(Protocol):
    """Finds words in 16 kHz sound, and lays known ones over it."""

    def recognise(self, audio: Float32[np.ndarray, " samples"]) -> Transcript:
        """What is said; no speech: no words. Without words but with text: their times failed."""
        ...

    def align(self, audio: Float32[np.ndarray, " samples"], text: str) -> tuple[Word, ...] | None:
        """Times of known words; None where they cannot be laid over the sound."""
        ...


def listener_needs(name: str) -> tuple[tuple[str, Kind], ...]:
    """Weights of a recogniser by name and kind."""
    return () if name == POCKETSPHINX else ((name, "funasr"),)


def listener_libraries(name: str) -> tuple[str, ...]:
    """Modules of a recogniser that emohead installs on demand."""
    return () if name == POCKETSPHINX else ("funasr", "sentencepiece")


def listener_identity(name: str, shelf: Shelf) -> tuple[dict[str, str], dict[str, Any]]:
    """Weights as {file: sha256}, and settings: what determines the words found.

    Raises:
        WeightError: weights that are not there.
    """
    if name == POCKETSPHINX:
        return weights(), settings()
    from pipeline.speech import funasr_words

    return shelf.hashes(name, "funasr"), {"name": name} | funasr_words.settings()


def listener_of(name: str, shelf: Shelf) -> Callable[[], Listener]:
    """Brings the recogniser when it is called."""
    if name == POCKETSPHINX:
        return recogniser

    def bring() -> Listener:
        from pipeline.speech import funasr_words

        return funasr_words.loaded(shelf, name)

    return bring

"""The committed readings: samples of sound, and the times of their words and phonemes."""

import json
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from pipeline.clock import SAMPLES_PER_FRAME
from pipeline.errors import InputError
from pipeline.samples.sentences import HELDOUT, SENTENCES

FOLDER = Path(__file__).parent / "speech"


@dataclass(frozen=True)
class Reading:
    """One spoken sentence."""

    path: Path
    """16 kHz mono wav of exactly `frames` x 640 samples."""
    samples: Int16[np.ndarray, " samples"]
    transcript: str
    words: list[dict]
    """{"word", "start", "end"}, seconds."""
    phonemes: list[dict]
    """{"phoneme", "start", "end"}, seconds; espeak-ng mnemonics, "_" a pause."""

    @property
    def frames(self) -> int:
        """Length on the common clock."""
        return len(self.samples) // SAMPLES_PER_FRAME


@cache
def _table() -> dict[str, dict]:
    return json.loads((FOLDER / "readings.json").read_text())


def load_reading(identity: str, emotion: str, sentence: str) -> Reading:
    """One reading; InputError with the choices when it was never recorded."""
    name = f"{identity}_{emotion}_{sentence}"
    table = _table()
    if name not in table:
        raise InputError(f"no reading {name!r}; there are {', '.join(sorted(table))}")
    path = FOLDER / f"{name}.wav"
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    text = HELDOUT.text if sentence == HELDOUT.name else SENTENCES[sentence].text
    return Reading(path, samples, text, table[name]["words"], table[name]["phonemes"])

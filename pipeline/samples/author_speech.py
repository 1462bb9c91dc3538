"""Write `speech/`: every reading as a wav, and `readings.json` with its words and phonemes.

Run once by whoever changes the sentences (`python -m pipeline.samples.author_speech`); it needs
libespeak-ng. What it wrote is committed, so that making clips needs no synthesiser.
"""

import json
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import soxr

from pipeline.clock import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from pipeline.samples.espeak import Espeak, Utterance, Voice
from pipeline.samples.sentences import EMOTIONS, HELDOUT, IDENTITIES, SENTENCES, Sentence

_FOLDER = Path(__file__).parent / "speech"
_LEAD = 0.10
_TAIL = 0.12

# How a reading differs from the neutral one: words a minute, pitch, pitch range, loudness.
_VOICES = {"iris": ("en-us+f3", 46), "milo": ("en-us+m3", 42)}
_MANNER = {
    "neutral": (178, 0, 45, 0.60),
    "happy": (192, 16, 95, 0.75),
    "sad": (160, -12, 12, 0.38),
    "angry": (200, -4, 80, 0.98),
}


def voice_of(identity: str, emotion: str, sentence: Sentence) -> Voice:
    """The espeak-ng voice of one reading; the long held-out sentence is read more slowly."""
    name, pitch = _VOICES[identity]
    rate, shift, pitch_range, _ = _MANNER[emotion]
    if sentence is HELDOUT:
        rate = round(0.85 * rate)
    return Voice(name, rate, pitch + shift, pitch_range)


def level(samples: np.ndarray, emotion: str) -> np.ndarray:
    """float64 [-1, 1] at the emotion's peak; anger is driven a little into saturation."""
    loudness = _MANNER[emotion][3]
    unit = samples / np.abs(samples).max()
    if emotion == "angry":
        unit = np.tanh(1.8 * unit) / np.tanh(1.8)
    return loudness * unit


def place(spoken: Utterance, sentence: Sentence) -> tuple[float, float, list, list]:
    """Start and end of speech in the utterance, and its words and phonemes, all in seconds."""
    sounds = [(start, name) for start, name in spoken.phonemes]
    first = next(start for start, name in sounds if not name.startswith("_"))
    last = max(i for i, (_, name) in enumerate(sounds) if not name.startswith("_"))
    end = sounds[last + 1][0]
    phonemes = [
        {"phoneme": "_" if name.startswith("_") or not name else name, "start": start, "end": stop}
        for (start, name), (stop, _) in pairwise(sounds[: last + 2])
        if stop > start
    ]
    words = [
        {"word": sentence.text[position - 1 : position - 1 + length].lower(), "start": start}
        for start, position, length in spoken.words
        if length > 0  # the end of the sentence comes as a word without letters
    ]
    for word, following in pairwise(words):
        word["end"] = following["start"]
    words[-1]["end"] = end
    for phoneme in phonemes:  # a pause belongs to no word
        if phoneme["phoneme"] == "_":
            for word in words:
                if word["start"] < phoneme["end"] and abs(word["end"] - phoneme["end"]) < 0.03:
                    word["end"] = phoneme["start"]
    return first, end, words, phonemes


def _shift(items: list[dict], by: float) -> list[dict]:
    return [
        {**item, "start": round(item["start"] + by, 4), "end": round(item["end"] + by, 4)}
        for item in items
    ]


def author(engine: Espeak, identity: str, emotion: str, sentence: Sentence) -> dict:
    """Write one wav and return its entry of `readings.json`."""
    spoken = engine.say(sentence.text, voice_of(identity, emotion, sentence))
    first, end, words, phonemes = place(spoken, sentence)
    samples = np.concatenate(spoken.chunks).astype(np.float64)
    samples = samples[round(first * spoken.rate) : round((end + 0.05) * spoken.rate)]
    samples = soxr.resample(level(samples, emotion), spoken.rate, SAMPLE_RATE, "VHQ")
    lead = round(_LEAD * SAMPLE_RATE)
    length = lead + len(samples) + round((_TAIL - 0.05) * SAMPLE_RATE)
    frames = -(-length // SAMPLES_PER_FRAME)
    track = np.zeros(frames * SAMPLES_PER_FRAME)
    track[lead : lead + len(samples)] = samples
    name = f"{identity}_{emotion}_{sentence.name}"
    with wave.open(str(_FOLDER / f"{name}.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.round(track * 32767).astype("<i2").tobytes())
    shift = _LEAD - first
    return {
        "seconds": frames / FPS,
        "words": _shift(words, shift),
        "phonemes": _shift(phonemes, shift),
    }


def main() -> None:
    """Author every reading."""
    engine = Espeak()
    _FOLDER.mkdir(exist_ok=True)
    readings = {}
    for identity in IDENTITIES:
        for emotion in EMOTIONS:
            for sentence in SENTENCES.values():
                entry = author(engine, identity, emotion, sentence)
                readings[f"{identity}_{emotion}_{sentence.name}"] = entry
        readings[f"{identity}_neutral_heldout"] = author(engine, identity, "neutral", HELDOUT)
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in readings.items())
    (_FOLDER / "readings.json").write_text("{\n" + text + "\n}\n")


if __name__ == "__main__":
    main()

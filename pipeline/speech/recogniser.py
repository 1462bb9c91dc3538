"""pocketsphinx with the English model of its wheel: finds words, and aligns known ones."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline import clock
from pipeline.encoder import sha256_of
from pipeline.speech.level import levelled, speech_level
from pipeline.transcript import Transcript, Word

LEVEL_DBFS = -23.0
"""Level the recogniser hears every clip at, dBFS."""
MAX_GAIN_DB = 40.0
SILENT_DBFS = -70.0
"""Sound quieter than this is not asked for words: the decoder would find some in any hiss."""
PIECE_SECONDS = 30
"""Longest stretch recognised at once; longer sound is cut at its quietest place."""
BUSY_STATES = 3000
"""Most HMM states kept alive a frame. Half the time of the default 30,000 for the same words
(20 s of a speech: 3.8 s against 7.0 s of CPU)."""
SPHINX_RATE = 100
"""Frames per second of pocketsphinx."""

# What a letter (pair) may sound like: enough to align a name that no dictionary holds.
SOUNDS = {
    "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ng": "NG", "ck": "K", "qu": "K W",
    "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW", "ai": "EY", "ay": "EY", "oi": "OY",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH",
    "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R",
    "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip


def model_folder() -> Path:
    """Folder of the English model in the pocketsphinx wheel."""
    import pocketsphinx

    return Path(pocketsphinx.get_model_path()) / "en-us"


@cache
def weights() -> dict[str, str]:
    """sha256 of the files that determine what is recognised."""
    folder = model_folder()
    names = ("en-us.lm.bin", "cmudict-en-us.dict", "en-us/mdef", "en-us/means", "en-us/sendump")
    return {f"pocketsphinx/{name}": sha256_of(folder / name) for name in names}


def settings() -> dict[str, Any]:
    """JSON-able: what determines the words found, besides the weights."""
    return {
        "level_dbfs": LEVEL_DBFS,
        "max_gain_db": MAX_GAIN_DB,
        "silent_dbfs": SILENT_DBFS,
        "piece_seconds": PIECE_SECONDS,
        "busy_states": BUSY_STATES,
    }


def spoken_words(text: str) -> list[str]:
    """Words of a sentence as the dictionary spells them: lower case, letters and apostrophes."""
    return [word for word in re.findall(r"[a-z']+", text.lower()) if word.strip("'")]


def guessed_sounds(word: str) -> str:
    """ARPABET phones for a word that is in no dictionary, letter by letter."""
    phones, at = [], 0
    while at < len(word):
        size = 2 if word[at : at + 2] in SOUNDS else 1
        if sound := SOUNDS.get(word[at : at + size]):
            phones.append(sound)
        at += size
    return " ".join(phones) or "AH"


def cut_points(samples: Float32[np.ndarray, " samples"]) -> list[int]:
    """Sample indices where long sound is cut: the quietest 100 ms of each piece's last third."""
    longest = PIECE_SECONDS * clock.SAMPLE_RATE
    tenth = clock.SAMPLE_RATE // 10
    cuts = [0]
    while len(samples) - cuts[-1] > longest:
        start = cuts[-1] + longest * 2 // 3
        search = samples[start : cuts[-1] + longest]
        power = np.square(search[: len(search) // tenth * tenth]).reshape(-1, tenth).sum(axis=1)
        cuts.append(start + int(power.argmin()) * tenth + tenth // 2)
    return [*cuts, len(samples)]


class Recogniser:
    """One loaded decoder. Not thread-safe: one a worker."""

    def __init__(self) -> None:
        """Load the acoustic model, language model and dictionary (about 0.4 s)."""
        from pocketsphinx import Decoder

        folder = model_folder()
        self._decoder: Any = Decoder(
            hmm=str(folder / "en-us"),
            lm=str(folder / "en-us.lm.bin"),
            dict=str(folder / "cmudict-en-us.dict"),
            loglevel="FATAL",
            maxhmmpf=BUSY_STATES,
        )
        self._plain = self._decoder.current_search()

    def recognise(self, audio: Float32[np.ndarray, " samples"]) -> Transcript:
        """What is said in 16 kHz sound, with word times in seconds. No speech: no words."""
        level = speech_level(audio)
        if level is None or level < SILENT_DBFS:
            return Transcript("", source="asr")
        self._decoder.activate_search(self._plain)
        audio, _ = levelled(audio, LEVEL_DBFS, MAX_GAIN_DB)
        words: list[Word] = []
        cuts = cut_points(audio)
        for start, end in pairwise(cuts):
            words += self._decode(audio[start:end], start / clock.SAMPLE_RATE)
        return Transcript(" ".join(word.text for word in words), tuple(words), source="asr")

    def align(self, audio: Float32[np.ndarray, " samples"], text: str) -> tuple[Word, ...] | None:
        """Times of known words in the sound; None where they cannot be laid over it."""
        spoken = spoken_words(text)
        if not spoken:
            return ()
        for word in set(spoken):
            if self._decoder.lookup_word(word) is None:
                self._decoder.add_word(word, guessed_sounds(word), update=True)
        try:
            self._decoder.set_align_text(" ".join(spoken))
            words = self._decode(levelled(audio, LEVEL_DBFS, MAX_GAIN_DB)[0], 0.0)
        except RuntimeError:  # pocketsphinx's only way to say "does not fit"
            return None
        finally:
            self._decoder.activate_search(self._plain)
        return tuple(words) if [word.text for word in words] == spoken else None

    def _decode(self, audio: Float32[np.ndarray, " samples"], offset: float) -> list[Word]:
        if len(audio) == 0:
            return []
        pcm = (audio.clip(-1, 1) * 32767).astype(np.int16).tobytes()
        # Else noise and cepstral mean of the clip before would decide what is heard in this one.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        words = []
        for segment in self._decoder.seg() or ():
            text = re.sub(r"\(\d+\)$", "", segment.word)
            if text[0] in "<[+":  # silence, noise, fillers
                continue
            start = offset + segment.start_frame / SPHINX_RATE
            words.append(Word(text, start, offset + (segment.end_frame + 1) / SPHINX_RATE))
        return words


@cache
def recogniser() -> Recogniser:
    """The worker's decoder, loaded at first use."""
    return Recogniser()

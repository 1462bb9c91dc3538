"""FunASR's recognisers: words and their times from SenseVoice and Paraformer folders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from pipeline import clock
from pipeline.errors import WeightError
from pipeline.speech import ctc
from pipeline.speech.funasr_folder import Parts, build
from pipeline.speech.level import levelled, speech_level
from pipeline.speech.recogniser import LEVEL_DBFS, MAX_GAIN_DB, SILENT_DBFS, cut_points
from pipeline.transcript import Transcript, Word
from pipeline.weights.shelf import Shelf

FRAME_S = 0.06
"""Seconds of one SenseVoice frame: six 10 ms steps of the front end."""
SHIFT_S = -0.03
"""A frame is stacked from three steps on either side of its own: it begins 30 ms earlier."""
HOLD_S = 0.24
"""CTC fires once in a token; it is held until the next one, at most this long (as FunASR's
Paraformer holds its own)."""
QUERIES = 4
"""Frames before the sound: language, event, emotion, style of writing."""
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def settings() -> dict[str, Any]:
    """JSON-able: what determines the words found, besides weights."""
    return {
        "level_dbfs": LEVEL_DBFS,
        "max_gain_db": MAX_GAIN_DB,
        "silent_dbfs": SILENT_DBFS,
        "hold_s": HOLD_S,
        "shift_s": SHIFT_S,
        "dither": 0,
    }


@cache
def loaded(shelf: Shelf, name: str) -> "SenseVoice | Paraformer":
    """The recogniser of a folder, loaded once a process.

    Raises:
        WeightError: a model that gives no times that can be trusted.
    """
    parts = build(shelf.open(name, "funasr"))
    model = parts.config["model"]
    if model == "SenseVoiceSmall":
        return SenseVoice(parts)
    if model in ("BiCifParaformer", "SeacoParaformer"):
        return Paraformer(parts)
    raise WeightError(
        f"{name} is a {model}; words with times come from SenseVoiceSmall, BiCifParaformer and "
        "SeacoParaformer"
    )


def heard_words(
    runs: Sequence[ctc.Run], pieces: Sequence[str], seconds: float, hold: float = HOLD_S
) -> tuple[Word, ...]:
    """Words of CTC tokens: a piece that begins with ▁ begins a word, a Chinese character is one.

    Args:
        runs: tokens with their frames.
        pieces: SentencePiece text of each.
        seconds: length of the sound; no word leaves it.
        hold: seconds a token lasts beyond its firing where no other follows.
    """
    words: list[list[Any]] = []
    fresh = True
    for (_, first, past), piece in zip(runs, pieces, strict=True):
        start, end = first * FRAME_S + SHIFT_S, past * FRAME_S + SHIFT_S
        letters = piece.replace("▁", "")
        han = bool(_HAN.match(letters))
        if piece.startswith("▁") or han:
            fresh = True
        if not letters:
            continue
        if fresh or not words:
            words.append([letters, start, end])
        else:
            words[-1][0] += letters
            words[-1][2] = end
        fresh = han
    out: list[Word] = []
    for word, following in zip(words, [*words[1:], None], strict=True):
        limit = seconds if following is None else following[1]
        end = min(max(word[2], word[2] + hold), limit, seconds)
        start = max(word[1], 0.0)
        if end > start:
            out.append(Word(word[0], start, end))
    return tuple(out)


@dataclass(frozen=True)
class SenseVoice:
    """SenseVoiceSmall, its CTC output read here.

    FunASR's own time stamps count repeated tokens as one and so drift behind them; the path itself
    says which frames are whose.
    """

    parts: Parts

    def recognise(self, audio: Float32[np.ndarray, " samples"]) -> Transcript:
        """What is said in any of its five languages."""
        level = speech_level(audio)
        if level is None or level < SILENT_DBFS:
            return Transcript("", source="asr")
        words: list[Word] = []
        for start, end in pairwise(cut_points(audio)):
            scores = self.scores(audio[start:end])
            runs = [run for run in ctc.greedy(scores) if not self._marks(run[0])]
            pieces = [self._piece(token) for token, _, _ in runs]
            seconds, at = (end - start) / clock.SAMPLE_RATE, start / clock.SAMPLE_RATE
            words += [
                Word(word.text, word.start + at, word.end + at)
                for word in heard_words(runs, pieces, seconds)
            ]
        return Transcript(" ".join(word.text for word in words), tuple(words), source="asr")

    def align(self, audio: Float32[np.ndarray, " samples"], text: str) -> tuple[Word, ...] | None:
        """Times of known words, which keep their spelling; None where they do not fit."""
        processor = self.parts.tokenizer.sp
        spoken = text.split()
        tokens = [processor.EncodeAsIds(_plain(word)) for word in spoken]
        if not spoken:
            return ()
        if any(not ids or processor.unk_id() in ids for ids in tokens):
            return None
        runs = ctc.align(self.scores(audio), [token for ids in tokens for token in ids])
        if runs is None:
            return None
        firsts = np.cumsum([0, *(len(ids) for ids in tokens)])
        owners = [runs[a:b] for a, b in pairwise(firsts)]
        seconds = len(audio) / clock.SAMPLE_RATE
        times = [(w[0][1] * FRAME_S + SHIFT_S, w[-1][2] * FRAME_S + SHIFT_S) for w in owners]
        limits = [start for start, _ in times[1:]] + [seconds]
        words = []
        for word, (start, end), limit in zip(spoken, times, limits, strict=True):
            start, end = max(start, 0.0), min(end + HOLD_S, limit, seconds)
            if end <= start:
                return None
            words.append(Word(word, start, end))
        return tuple(words)

    def scores(self, audio: Float32[np.ndarray, " samples"]) -> Float[np.ndarray, "frames tokens"]:
        """Log probabilities of every 60 ms frame."""
        import torch
        from funasr.utils.load_utils import extract_fbank

        model = self.parts.model
        loud, _ = levelled(audio, LEVEL_DBFS, MAX_GAIN_DB)
        with torch.inference_mode():
            sound = [torch.from_numpy(np.array(loud))]
            speech, lengths = extract_fbank(sound, frontend=self.parts.frontend)
            # the order the network was trained with: language, event, emotion, style, sound
            asked = [model.lid_dict["auto"], 1, 2, model.textnorm_dict["woitn"]]
            queries = model.embed(torch.tensor([asked]))
            hidden, _ = model.encoder(torch.cat([queries, speech], dim=1), lengths + QUERIES)
            return model.ctc.log_softmax(hidden)[0, QUERIES:].float().numpy()

    def _piece(self, token: int) -> str:
        return self.parts.tokenizer.sp.IdToPiece(int(token))

    def _marks(self, token: int) -> bool:
        """Tokens that are no speech: <|HAPPY|>, <unk>."""
        piece = self._piece(token)
        return piece.startswith("<") and piece.endswith(">")


@dataclass(frozen=True)
class Paraformer:
    """Paraformer with a time-stamp predictor (BiCif, Seaco): Chinese, 20 ms steps."""

    parts: Parts

    def recognise(self, audio: Float32[np.ndarray, " samples"]) -> Transcript:
        """What is said; text without words where FunASR gave other times than words."""
        import torch

        level = speech_level(audio)
        if level is None or level < SILENT_DBFS:
            return Transcript("", source="asr")
        texts: list[str] = []
        words: list[Word] | None = []
        for start, end in pairwise(cut_points(audio)):
            loud, _ = levelled(audio[start:end], LEVEL_DBFS, MAX_GAIN_DB)
            with torch.inference_mode():
                told = self.parts.model.inference(
                    [torch.from_numpy(np.array(loud))],
                    key=["clip"],
                    tokenizer=self.parts.tokenizer,
                    frontend=self.parts.frontend,
                    device="cpu",
                )
            results = told[0] if isinstance(told, tuple) else told
            for result in results:
                texts.append(result["text"])
                found = stamped(result["text"], result.get("timestamp") or [])
                at = start / clock.SAMPLE_RATE
                if words is not None and found is not None:
                    words += [Word(w.text, w.start + at, w.end + at) for w in found]
                else:
                    words = None
        text = " ".join(texts).strip()
        return Transcript(text, tuple(words or ()), source="asr")

    def align(self, audio: Float32[np.ndarray, " samples"], text: str) -> tuple[Word, ...] | None:
        """Never: this network only times what it heard itself."""
        return None


def stamped(text: str, stamps: Sequence[Sequence[float | int]]) -> tuple[Word, ...] | None:
    """FunASR's result as words: one [start, end] in ms for each piece of the split text.

    None where the numbers differ (FunASR warns of it itself) or a stretch is empty.
    """
    pieces = text.split()
    if len(pieces) != len(stamps) or any(end <= start for start, end in stamps):
        return None
    return tuple(
        Word(piece, max(start, 0) / 1000, end / 1000)
        for piece, (start, end) in zip(pieces, stamps, strict=True)
    )


def _plain(word: str) -> str:
    return "".join(re.findall(r"[^\W_]|'", word.lower()))

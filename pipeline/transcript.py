"""What was said, and when: the value that corpora know, sidecars bring and recognisers guess."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import InputError


@dataclass(frozen=True)
class Word:
    """One word (or phoneme) and the stretch of the clip it fills."""

    text: str
    start: float
    """Seconds from the clip's first frame."""
    end: float
    """Seconds from the clip's first frame; later than `start`."""

    def __post_init__(self) -> None:
        """A word that ends before it starts would silently colour no frame."""
        if not 0 <= self.start < self.end:
            raise InputError(
                f"word {self.text!r} runs from {self.start} s to {self.end} s; "
                "times must satisfy 0 <= start < end"
            )


@dataclass(frozen=True)
class Transcript:
    """Words of a clip. `words` is empty where only the sentence is known, not its timing."""

    text: str
    words: tuple[Word, ...] = ()
    phonemes: tuple[Word, ...] = ()
    source: Literal["known", "sidecar", "asr"] = "known"
    """Who says so: the corpus, a file beside the clip, or a recogniser."""

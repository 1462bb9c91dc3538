"""What a corpus knows of a clip from its name."""

from dataclasses import dataclass
from fractions import Fraction

from pipeline.transcript import Transcript


@dataclass(frozen=True)
class Label:
    """Labels of one clip; None where the corpus does not say."""

    identity: str
    emotion: str | None = None
    """Canonical tag."""
    intensity: int | None = None
    """Level within the corpus, 1 lowest."""
    view: str | None = None
    sentence: str | None = None
    split: str | None = None
    transcript: Transcript | None = None
    start: Fraction | None = None
    """Seconds: the clip is only this stretch of the file."""
    end: Fraction | None = None
    bad: str | None = None
    """Why the corpus's keepers say this file must not be used."""

"""What the samples say: five short sentences for clips, and a longer one held out for the end."""

from dataclasses import dataclass

IDENTITIES = ("iris", "milo")
"""The two people of the samples."""

EMOTIONS = ("neutral", "happy", "sad", "angry")
"""Canonical tags the samples are spoken in."""


@dataclass(frozen=True)
class Sentence:
    """One sentence and the split its clips belong to."""

    name: str
    """Short name used in file names."""
    text: str
    """The words as they are spoken."""
    split: str
    """"train", "test" (never trained on) or "heldout" (audio only: there is no clip of it)."""


SENTENCES = {
    sentence.name: sentence
    for sentence in (
        Sentence("s1", "We found the blue boat by the shore.", "train"),
        Sentence("s2", "My mother made a fresh apple pie.", "train"),
        Sentence("s3", "You should open both of the windows.", "train"),
        Sentence("s4", "Five people are waiting for the bus.", "train"),
        Sentence("s5", "Please move the warm soup over there.", "test"),
    )
}
"""The sentences that clips exist of, by name."""

HELDOUT = Sentence(
    "heldout",
    "The show will be over before you arrive, so maybe we should wait for her by the old fountain.",
    "heldout",
)
"""Spoken once by each identity in the neutral reading; no clip shows it."""

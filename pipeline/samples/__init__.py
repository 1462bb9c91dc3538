"""Sample clips that emohead makes itself, with known truth."""

from pipeline.samples.make import heldout_reading, heldout_speech, make_samples
from pipeline.samples.sentences import EMOTIONS, HELDOUT, IDENTITIES, SENTENCES

__all__ = [
    "EMOTIONS",
    "HELDOUT",
    "IDENTITIES",
    "SENTENCES",
    "heldout_reading",
    "heldout_speech",
    "make_samples",
]

"""Which clips are learnt from: splits by clip and by sentence, never inside a clip."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from models.data import Split
from models.errors import TrainingDataError


@dataclass(frozen=True)
class SplitConfig:
    """How much is held out where the corpus does not say."""

    sentences: float = 0.15
    """Share of the sentences held out entirely, from every identity and emotion."""
    clips: float = 0.1
    """Share of the remaining clips held out, their sentence being known from others."""
    seed: int = 0
    """Seed of the choice; it depends on names only, so a growing corpus keeps its splits."""


@dataclass(frozen=True)
class SplitKey:
    """What the choice looks at."""

    clip_id: str
    identity: str
    emotion: str
    sentence: str | None
    split: str | None
    """What the corpus says: train, test, val, ... or nothing."""


TRAIN_WORDS = ("train", "training")


def assign_splits(clips: Sequence[SplitKey], config: SplitConfig | None = None) -> dict[str, Split]:
    """Part of every clip, by clip id.

    A corpus that names splits is believed: what it does not train on is held out as a sentence or,
    where a training clip speaks the same sentence, as a clip. Otherwise sentences and clips are
    chosen by a hash of their names; an identity's only clip of an emotion stays in training, or
    that emotion could not be learnt.

    Raises:
        TrainingDataError: nothing is left to train on.
    """
    config = config or SplitConfig()
    named = [clip for clip in clips if clip.split]
    held: set[str] = set()
    if named:
        held = {c.clip_id for c in named if str(c.split).lower() not in TRAIN_WORDS}
    else:
        sentences = {c.sentence for c in clips if c.sentence}
        lots = sorted(sentences, key=lambda s: _lot(f"{config.seed}/sentence/{s}"))
        out = set(lots[: round(config.sentences * len(lots))])
        held = {c.clip_id for c in clips if c.sentence in out}
        rest = sorted(
            (c for c in clips if c.clip_id not in held),
            key=lambda c: _lot(f"{config.seed}/clip/{c.clip_id}"),
        )
        for clip in rest[: round(config.clips * len(rest))]:
            alike = [
                c
                for c in rest
                if (c.identity, c.emotion) == (clip.identity, clip.emotion)
                and c.clip_id not in held
            ]
            if len(alike) > 1:
                held.add(clip.clip_id)
    train = [clip for clip in clips if clip.clip_id not in held]
    if not train:
        raise TrainingDataError(
            f"{len(clips)} clips and none of them to train on; give some the split 'train'"
        )
    heard = {clip.sentence for clip in train if clip.sentence}
    people = {clip.identity for clip in train}

    def part(clip: SplitKey) -> Split:
        if clip.clip_id not in held:
            return "train"
        if clip.identity not in people:
            return "held_out_identity"
        return "held_out_clip" if clip.sentence in heard else "held_out_sentence"

    return {clip.clip_id: part(clip) for clip in clips}


def _lot(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()

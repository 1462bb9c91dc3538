"""What a reader of a run must know about its data; kept in the checkpoint and shown in reports."""

from models.data import HELD_OUT, TrainingData, lone_tags
from models.windows import WindowSampler


def notes_of(data: TrainingData, sampler: WindowSampler, takes_labels: bool = False) -> list[str]:
    """Sentences about clips that are learnt from otherwise than one would think, or not at all.

    Args:
        data: all clips.
        sampler: of the windows that are learnt from.
        takes_labels: the network is told the emotion as a label.
    """
    notes = [
        f"tag {tag!r} belongs to identity {identity!r} alone: the second term of eq. 13 is zero"
        for tag, identity in lone_tags(sampler.clips).items()
    ]
    if sampler.too_short:
        names = ", ".join(f"{c.clip_id} ({c.frames})" for c in sampler.too_short[:8])
        notes.append(
            f"{len(sampler.too_short)} training clips are shorter than a window of "
            f"{sampler.window} frames and are not learnt from: {names}"
        )
    notes += notes_of_unlabelled(data, sampler, takes_labels)
    missing = [split for split in HELD_OUT if not data.part(split)]
    if len(missing) == len(HELD_OUT):
        notes.append("no clip is held out: nothing was validated")
    else:
        notes += [f"{split}: not measured ({reason_unmeasured(data, split)})" for split in missing]
    return notes


def notes_of_unlabelled(
    data: TrainingData, sampler: WindowSampler, takes_labels: bool
) -> list[str]:
    """What becomes of training clips without an emotion tag; nothing where all have one."""
    clips = (*sampler.clips, *sampler.too_short)
    left_out = len(data.part("train")) - len(clips)
    notes = []
    if left_out:
        notes.append(
            f"{left_out} training clips have no emotion tag: they are not learnt from "
            "(emotion_free is off)"
        )
    unknown = sum(not clip.emotion for clip in sampler.clips)
    if not unknown:
        return notes
    if not takes_labels:
        what = "they are not refined (w_z = 0) and have no partner in eq. 13"
    elif unknown < len(sampler.clips):
        what = "what the face does with the sound is learnt from them, no emotion"
    else:
        what = (
            "none of these can be asked for, whatever label is given is noise; label some clips "
            "(a sidecar or a table), or leave the emotion out when speaking"
        )
    return [*notes, f"{unknown} of {len(sampler.clips)} training clips have no emotion tag: {what}"]


def reason_unmeasured(data: TrainingData, split: str) -> str:
    """Why a held-out part has no clips."""
    people = {clip.identity for clip in data.clips}
    sentences = {clip.sentence for clip in data.clips if clip.sentence}
    if split == "held_out_identity":
        return "one identity" if len(people) == 1 else "all identities are learnt from"
    if split == "held_out_sentence":
        known = {0: "no sentence is known", 1: "one sentence"}
        return known.get(len(sentences), "all sentences are learnt from")
    return "no held-out clip speaks a sentence that is learnt from"

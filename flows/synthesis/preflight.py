"""Everything that can be wrong with a request is found before any work on it begins."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from flows.config import SynthesizeConfig
from flows.errors import FlowError, NothingToDo
from flows.reuse import current
from flows.synthesis.acquaintance import acquainted
from flows.synthesis.one_shot import check_request, find_portrait
from models import Timeline, load
from models.checkpoint import Checkpoint
from models.data import merged_planes
from models.emotion import check_tags
from models.timeline_file import timeline_text
from pipeline import clock
from pipeline.hyperplanes import POOLED
from pipeline.sound import read_sound
from render.backgrounds import TRANSPARENT
from render.carried import Carried, read_carried
from render.codings import Coding, coding_of


@dataclass(frozen=True)
class Request:
    """What was asked for, read and found sound."""

    samples: Float32[np.ndarray, " samples"]
    """16 kHz, whole frames."""
    emotion: str | None
    """Timeline in the grammar of the command line."""
    coding: Coding
    checkpoint: Checkpoint
    carried: Carried | None = None
    """What the head brings along; None: a store is read."""
    notes: tuple[str, ...] = ()
    """What whoever looks at the video should know."""

    @property
    def frames(self) -> int:
        """V."""
        return len(self.samples) // clock.SAMPLES_PER_FRAME


def checked(config: SynthesizeConfig) -> Request:
    """Read sound, timeline and network, and hold them against each other.

    Raises:
        FlowError: options that contradict each other, an identity without a head, an empty text.
        NothingToDo: no head of the identity, no video diffusion model.
        VideoError: a name whose ending says no coding, or none that can be transparent.
        MediaError: sound that is missing, no sound, or silent.
        EmotionError: a timeline past the sound's end, an emotion without hyperplane.
        HeadFolderError: half a head, or somebody else's.
    """
    transparent = config.look.background == TRANSPARENT
    coding = coding_of(config.out, transparent)
    if config.emotion is not None and config.timeline is not None:
        raise FlowError(
            f"--emotion {config.emotion!r} and --timeline {config.timeline}: give one of them"
        )
    if config.look.pose_from is not None and circling(config):
        raise FlowError(
            f"--pose-from {config.look.pose_from} and --orbit {config.look.orbit or 0:g}: the "
            "camera follows a clip or circles; give one of them"
        )
    spare_inputs(config)
    carried = None
    if config.one_shot is not None:
        check_request(config, config.one_shot)
        find_portrait(config.head)
    elif not config.identity:
        raise FlowError("whose head speaks is not said; name the person (--identity)")
    else:
        find_head(config.head, config.identity)
        carried = read_carried(config.head, config.identity)
    if config.text is not None and not config.text.strip():
        raise FlowError(
            "--text is empty; write what is said, or leave it out: the words are then recognised"
        )
    emotion = timeline_text(config.timeline) if config.timeline is not None else config.emotion
    timeline = None if emotion is None else Timeline.parse(emotion)
    samples = read_sound(config.audio)
    checkpoint = load(config.network)
    notes: tuple[str, ...] = ()
    if carried is not None:
        checkpoint, notes = acquainted(checkpoint, carried, config.head)
    request = Request(samples, emotion, coding, checkpoint, carried, notes)
    if timeline is not None:
        if checkpoint.model.config.takes_labels:
            from models.labels import label_frames

            label_frames(timeline, request.frames, checkpoint.model.config.labels)
        else:
            who = config.identity or POOLED
            planes = merged_planes(checkpoint.planes, who, checkpoint.train.planes)
            check_tags(timeline.tags, planes)
            timeline.weights(request.frames)
    return request


def spare_inputs(config: SynthesizeConfig) -> None:
    """Never write over what is read.

    Raises:
        FlowError: the video has the name of its sound, background or timeline.
    """
    read = {"--audio": config.audio, "--background": Path(config.look.background)}
    if config.timeline is not None:
        read["--timeline"] = config.timeline
    if config.one_shot is not None and config.one_shot.picture is not None:
        read["--picture"] = config.one_shot.picture
    for option, path in read.items():
        if path.exists() and config.out.exists() and path.samefile(config.out):
            raise FlowError(
                f"--video {config.out} is the file that {option} {path} reads, and would replace "
                "it; name another video"
            )


def circling(config: SynthesizeConfig) -> bool:
    """Whether the camera circles."""
    return config.look.orbit is not None or config.look.orbit_pitch > 0


def find_head(folder: Path, identity: str) -> None:
    """Say which heads there are where the one asked for is not.

    Raises:
        NothingToDo: the identity has no head model.
    """
    if (folder / "head.json").is_file():
        return
    there = [p.name for p in current(folder.parent) if (p / "head.json").is_file()]
    near = difflib.get_close_matches(identity, there, n=1, cutoff=0.6)
    raise NothingToDo(
        f"identity {identity!r} has no head model in {folder}; "
        + (f"did you mean {near[0]!r}? " if near else "")
        + f"heads there: {', '.join(there) or 'none'}. Train it: "
        f"emohead train head --identity {identity} --out {folder.parent.parent}"
    )

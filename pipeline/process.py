"""One clip in, arrays out: decode once, run the encoders that are wanted, say why of the rest.

Bad data never raises: each wanted feature that cannot be had carries its reason. What is wrong with
the program does raise.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pipeline import clock, media, quality
from pipeline.encoder import AUDIO, VIDEO, ClipInputs, Encoder
from pipeline.errors import MediaError, MissingInput, ProfileError, RejectedClip
from pipeline.face.crop import CropFinder
from pipeline.face.rgb import RgbConfig
from pipeline.features import TOKENS
from pipeline.media_audio import read_audio
from pipeline.media_video import count_frames, read_video
from pipeline.profiles import Profile
from pipeline.quality_rules import FLAGS, QualityConfig, judge
from pipeline.source import ClipSource


@dataclass
class ClipResult:
    """What became of one clip."""

    clip_id: str
    frames: int = 0
    """V; 0 when the clip is unusable."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Wanted features, each with first axis V."""
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    """Token tables [n_tokens, dim] of token features."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Reason of each wanted feature that is not in `arrays`."""
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON-able record: media, video, crop, audio, encoders, quality."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            taken = time.perf_counter() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + taken


def process_clip(
    source: ClipSource,
    wanted: Sequence[str],
    profile: Profile,
    given: Mapping[str, np.ndarray] | None = None,
    *,
    size: int | None = None,
    known: Mapping[str, Any] | None = None,
) -> ClipResult:
    """Compute the wanted features of a clip.

    Args:
        source: the file (or range of it).
        wanted: feature names of the profile.
        profile: who computes them.
        given: features that exist already; they are used, not made again.
        size: side of the frames; only to hold the caller against the profile.
        known: facts that an earlier run recorded of the same content. A run of a few features
            measures a part of the quality only; the rest stays as it was measured.

    Raises:
        ProfileError: a feature the profile does not have, or another frame size than the profile's.
        ClockError: a given feature or an encoder's output of the wrong length or type.
    """
    if size is not None and size != profile.size:
        raise ProfileError(
            f"frames of {size} px are asked of a profile for {profile.size} px; "
            f"load_profile({profile.name!r}, size={size})"
        )
    given = dict(given or {})
    needed = profile.needed(wanted, given)
    result = ClipResult(source.clip_id)
    try:
        with result.timed("probe"):
            info = media.probe(source.path)
        result.facts["media"] = _probe_facts(info)
        run = _Run(source, info, profile, given, result)
        run.decode(needed)
        for encoder in needed:
            run.encode(encoder, wanted)
        with result.timed("quality"):
            measured = quality.measure(
                {n: a for n, a in run.features.items() if TOKENS not in n},
                run.sound,
                source.transcript,
            )
            earlier = dict(known or {})
            result.facts["quality"] = {**earlier.get("quality", {}), **measured}
            encoders = {**earlier.get("encoders", {}), **result.facts.get("encoders", {})}
            if encoders:
                result.facts["encoders"] = encoders
            run.judge(earlier)
    except (MediaError, RejectedClip) as reason:
        result.frames = 0
        result.arrays.clear()
        result.tokens.clear()
        result.rejected = {feature: str(reason) for feature in wanted}
    return result


class _Run:
    """The state of one clip under way."""

    def __init__(
        self,
        source: ClipSource,
        info: media.MediaInfo,
        profile: Profile,
        given: Mapping[str, np.ndarray],
        result: ClipResult,
    ) -> None:
        self.source, self.info, self.profile, self.result = source, info, profile, result
        self.features: dict[str, np.ndarray] = dict(given)
        self.missing: dict[str, str] = {}
        self.video: np.ndarray | None = None
        self.sound: np.ndarray | None = None
        self.no_sound = "no audio stream"

    def decode(self, needed: Sequence[Encoder]) -> None:
        """Bring the media the encoders need: each stream once.

        Raises:
            MediaError, RejectedClip: the clip is unusable.
        """
        source, result = self.source, self.result
        inputs = {name for encoder in needed for name in encoder.inputs}
        if VIDEO in inputs:
            config = cast(RgbConfig, self.profile.encoder("crop").config)
            finder = CropFinder(config.crop, self._voice)
            with result.timed("video"):
                video = read_video(
                    self.info, config.size, finder, source.start, source.end, config.video
                )
            self.video = video.frames
            result.frames = len(video.frames)
            result.facts["video"] = video.facts
            result.facts["crop"] = finder.facts
        elif self.features:
            result.frames = len(next(iter(self.features.values())))
        elif needed:
            with result.timed("video"):
                result.frames = count_frames(self.info, source.start, source.end)
        for name, array in self.features.items():
            if TOKENS not in name:
                clock.same_length(name, len(array), result.frames)
        if AUDIO in inputs:
            try:
                with result.timed("audio"):
                    audio = read_audio(self.info, result.frames, source.start)
                self.sound = audio.samples
                result.facts["audio"] = audio.facts
            except MissingInput as reason:
                self.no_sound = str(reason)
                result.facts["audio"] = {"missing": self.no_sound}

    def _voice(self, frames: int) -> np.ndarray | None:
        """The clip's sound, for whoever must know who speaks."""
        try:
            return read_audio(self.info, frames, self.source.start).samples
        except MissingInput:
            return None

    def encode(self, encoder: Encoder, wanted: Sequence[str]) -> None:
        """Run one encoder, or note why it cannot run.

        Raises:
            RejectedClip: the encoder found the clip unusable as a whole.
        """
        names = [spec.name for spec in encoder.outputs]
        try:
            outputs = self._outputs(encoder)
        except MediaError as reason:
            self.missing |= dict.fromkeys(names, str(reason))
            self.result.rejected |= {n: str(reason) for n in names if n in wanted}
            return
        for spec in encoder.outputs:
            array = spec.check(outputs[spec.name], self.result.frames)
            self.features[spec.name] = array
            if spec.name in wanted:
                self.result.arrays[spec.name] = array
            if spec.kind == "token_index":
                table = outputs[spec.name + TOKENS]
                self.features[spec.name + TOKENS] = table
                if spec.name in wanted:
                    self.result.tokens[spec.name] = table

    def judge(self, earlier: Mapping[str, Any]) -> None:
        """Hold the numbers of this run and of earlier ones against the limits.

        Raises:
            RejectedClip: a flag that the profile rejects.
        """
        crop = [e.config for e in self.profile.encoders if isinstance(e.config, RgbConfig)]
        limits = crop[0].quality if crop else QualityConfig()
        flags = judge({**earlier, **self.result.facts}, limits)
        self.result.facts["flags"] = flags
        refused = [f"{FLAGS[name]}: {flags[name]}" for name in limits.reject if name in flags]
        if refused:
            raise RejectedClip("; ".join(refused))

    def _outputs(self, encoder: Encoder) -> dict[str, np.ndarray]:
        for name in encoder.inputs:
            if name in self.missing:
                raise MissingInput(f"needs {name}: {self.missing[name]}")
        video, sound = self.video, self.sound
        inputs = ClipInputs(
            frames=self.result.frames,
            features=self.features,
            transcript=self.source.transcript,
            video_source=None if video is None else lambda: video,
            audio_source=None if sound is None else lambda: sound,
            no_audio=self.no_sound,
        )
        with self.result.timed(encoder.name):
            outputs = encoder.encode(inputs)
        if inputs.facts:
            self.result.facts.setdefault("encoders", {})[encoder.name] = inputs.facts
        return outputs


def _probe_facts(info: media.MediaInfo) -> dict[str, Any]:
    video, audio = info.video, info.audio
    return {
        "container": info.container,
        "video_codec": video.codec,
        "pixel_format": video.pixel_format,
        "width": video.width,
        "height": video.height,
        "header_fps": None if video.rate is None else round(float(video.rate), 3),
        "video_stream": video.index,
        "video_zero_s": media.seconds(video.zero),
        "audio_stream": None if audio is None else audio.index,
        "audio_codec": None if audio is None else audio.codec,
        "unused_streams": list(info.others),
    }

"""The sound stream as exactly 640 V samples of 16 kHz mono, on the picture's clock.

Where sound starts late, ends early or has holes, silence fills the gap and the record says so;
nothing is stretched or shifted to fit.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from jaxtyping import Float32

from pipeline import clock, media
from pipeline.errors import MediaError, MissingInput
from pipeline.media_file import opened

SILENCE = 1e-4
"""Peak (of 1) below which a track counts as digitally silent: -80 dBFS."""
EARLY_END = 0.5
"""Seconds of missing sound at the end from which a clip is flagged."""
_JITTER = Fraction(1, 50)
"""Seconds a chunk's time stamp may stray from the running count of samples before it is a hole."""
_LEAD = Fraction(1, 4)
"""Seconds read before a range, so that codecs and the resampler are settled when it begins."""
_RATE_LIMIT = 768_000
_CENTRE = {"FC": 1.0, "FL": 0.707, "FR": 0.707, "LFE": 0.0, "LFE2": 0.0}
"""Share of a channel in the mono mix; surround channels count 0.5 (ITU-R BS.775 without matrix)."""


@dataclass
class Audio:
    """A clip's sound and what was done to get it."""

    samples: Float32[np.ndarray, " samples"]
    facts: dict[str, Any] = field(default_factory=dict)


def read_audio(info: media.MediaInfo, frames: int, start: Fraction | None = None) -> Audio:
    """Sound of `frames` frames from `start` seconds after the first picture.

    Raises:
        MissingInput: no sound stream, none that decodes, none in this range, or digital silence.
    """
    stream = info.audio
    if stream is None:
        raise MissingInput("no audio stream")
    if not 1000 <= stream.rate <= _RATE_LIMIT:
        raise MissingInput(f"audio of {stream.rate} Hz; 1000 to {_RATE_LIMIT} Hz are read")
    zero = info.video.zero + (start or 0)
    lead = min(_LEAD, zero - info.video.zero)
    span = Fraction(clock.samples_of(frames), clock.SAMPLE_RATE)
    track = _Track(stream.rate, zero - lead, lead + span + _LEAD)
    try:
        _fill(track, info)
    except MediaError as error:
        raise MissingInput(f"audio does not decode: {error}") from error
    if track.first is None:
        raise MissingInput(
            f"no sound in the clip's {float(span):.2f} s "
            f"(stream of {stream.codec}, {track.damaged} packets damaged)"
        )
    mono = track.samples
    if stream.rate != clock.SAMPLE_RATE:
        mono = soxr.resample(mono, stream.rate, clock.SAMPLE_RATE, quality="HQ")
    skip = clock.sample_at(lead)
    samples = np.zeros(clock.samples_of(frames), np.float32)
    body = mono[skip : skip + len(samples)]
    samples[: len(body)] = body
    peak = float(np.max(np.abs(samples)))
    if peak < SILENCE:
        raise MissingInput(f"the audio is digitally silent (peak {peak:.1e} of 1)")
    starts_late = max(Fraction(0), track.first - zero)
    ends_early = max(Fraction(0), zero + span - track.last)
    return Audio(
        samples,
        {
            "source_rate": stream.rate,
            "channels": stream.channels,
            "codec": stream.codec,
            "starts_late_s": media.seconds(starts_late),
            "ends_early_s": media.seconds(ends_early),
            "ends_early": float(ends_early) > EARLY_END,
            "holes_s": media.seconds(Fraction(track.hole, stream.rate)),
            "damaged_packets": track.damaged,
            "clipped_in_mix": bool(peak > 1.0),
        },
    )


@dataclass
class _Track:
    """Mono samples at the source's rate from `begin` seconds on, laid down by time stamp."""

    rate: int
    begin: Fraction
    length: Fraction
    first: Fraction | None = None
    last: Fraction = Fraction(0)
    hole: int = 0
    damaged: int = 0

    def __post_init__(self) -> None:
        self.samples = np.zeros(round(self.length * self.rate), np.float32)
        self._next: int | None = None

    def lay(self, mono: np.ndarray, at: Fraction | None) -> bool:
        """Put a chunk at its time; False once the track is full."""
        place = self._next if at is None else round((at - self.begin) * self.rate)
        place = place if place is not None else 0
        if self._next is not None:
            if abs(place - self._next) <= _JITTER * self.rate:
                place = self._next  # containers round times: the count of samples is finer
            else:
                self.hole += max(0, place - self._next)
        self._next = place + len(mono)
        low, high = max(place, 0), min(place + len(mono), len(self.samples))
        if low < high:
            self.samples[low:high] = mono[low - place : high - place]
            if self.first is None:
                self.first = self.begin + Fraction(low, self.rate)
            self.last = max(self.last, self.begin + Fraction(high, self.rate))
        return place < len(self.samples)


def _fill(track: _Track, info: media.MediaInfo) -> None:
    audio = info.audio
    if audio is None:
        return
    with opened(info.path) as container:
        stream = container.streams[audio.index]
        if not isinstance(stream, av.AudioStream) or stream.time_base is None:
            raise MediaError(f"{info.path.name}: the file changed while it was read")
        if track.begin > info.video.zero:
            target = max(Fraction(0), track.begin - 1)  # a second of run-up for the codec
            try:
                container.seek(int(target / stream.time_base), stream=stream, backward=True)
            except FFmpegError:
                container.seek(0)
        mixer = _Mixer()
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                return  # a damaged tail; what came before counts, the rest is a recorded gap
            if packet is None:
                return
            try:
                chunks = packet.decode()
            except FFmpegError:
                track.damaged += 1
                continue
            for chunk in chunks:
                if not isinstance(chunk, av.AudioFrame) or chunk.sample_rate != track.rate:
                    continue
                tick = chunk.time_base or stream.time_base
                at = None if chunk.pts is None else chunk.pts * tick
                if not track.lay(mixer.mono(chunk), at):
                    return


class _Mixer:
    """Any sample format and layout to float32 mono, without ever amplifying."""

    def __init__(self) -> None:
        self._packer: AudioResampler | None = None
        self._key: tuple[str, str] | None = None

    def mono(self, chunk: av.AudioFrame) -> Float32[np.ndarray, " samples"]:
        # Interleaved, never planar: PyAV 18.1 reads past the planes of frames of eight channels and
        # takes the process with it (planes says 9; seen with TrueHD and AAC 7.1).
        key = (chunk.format.name, chunk.layout.name)
        if self._packer is None or key != self._key:
            self._packer, self._key = AudioResampler(format="flt"), key
        count = chunk.layout.nb_channels
        packed = [part.to_ndarray().reshape(-1, count) for part in self._packer.resample(chunk)]
        channels = np.concatenate(packed) if packed else np.zeros((0, count), np.float32)
        return (channels @ _weights(chunk.layout, count)).astype(np.float32, copy=False)


def _weights(layout: AudioLayout, count: int) -> Float32[np.ndarray, " channels"]:
    weights = np.ones(count, np.float32)
    if count > 2:
        names = [channel.name for channel in layout.channels]
        if len(names) == count:
            weights = np.array([_CENTRE.get(name, 0.5) for name in names], np.float32)
    total = weights.sum()
    return weights / total if total > 0 else np.full(count, 1 / count, np.float32)

"""The embedded visual path against its parts, two workers against one, memory, bytes a frame.

`python -m benchmarks.preprocess CLIP parts|workers|memory [size]`

`parts`   frames/s of each part alone, their harmonic limit 1 / sum(1 / rate), and of the whole:
          `process_clip` plus the pictures' codec, best of three rounds, all in this run.
`workers` the same clip by one process and by two at once (give it two idle cores), beside work
          that shares nothing and work that shares the memory.
`memory`  the clip looped to an hour without re-encoding, five clips of a minute taken from it:
          resident memory after each.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.together import together
from pipeline import media
from pipeline.encoder import ClipInputs
from pipeline.face.crop import CropFinder
from pipeline.geometry import Square
from pipeline.media_video import read_video
from pipeline.process import process_clip
from pipeline.profiles import Profile, load_profile
from pipeline.scan import scan
from pipeline.source import ClipSource
from store import ImageCodec

VISUAL = (
    *("video/rgb", "face/landmarks", "face/found", "face/mar", "pose/camera", "pose/error"),
    *("expression/semantic", "parsing/selfie"),
)
PEER_BYTES = 294_000
"""Bytes a frame of RAD-NeRF's data_utils/process.py, steps 1-7, measured on an 8 s HDTF clip."""
PEER_RATE = 0.68
"""Frames/s of the same steps on two cores, measured on another day and machine of this kind."""
ROUNDS = 3


def best(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest round, after one that loads models."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def whole(source: ClipSource, profile: Profile) -> int:
    """Process a clip and encode its pictures, as a worker does; bytes of the pictures."""
    result = process_clip(source, VISUAL, profile)
    if not result.frames:
        raise SystemExit(f"{source.path}: {result.rejected['video/rgb']}")
    return sum(map(len, map(ImageCodec().encode_picture, result.arrays["video/rgb"])))


def parts(clip: Path, size: int) -> None:
    """Print rates of parts and whole."""
    source, profile = scan(clip).clips[0], load_profile("embedded", size)
    info = media.probe(clip)
    finder = CropFinder()
    video = read_video(info, size, finder, source.start, source.end)
    square: Square = video.square
    frames = len(video.frames)
    features = process_clip(source, VISUAL, profile).arrays
    inputs = ClipInputs(frames, features, video_source=lambda: video.frames)

    def decode() -> None:
        read_video(info, size, lambda *_: square, source.start, source.end)

    def decode_and_find() -> None:
        read_video(info, size, CropFinder(), source.start, source.end)

    def encode() -> None:
        for picture in video.frames:
            ImageCodec().encode_picture(picture)

    seconds = {"decode, crop, scale": best(decode)}
    seconds["find the face (16 frames a clip)"] = max(
        best(decode_and_find) - seconds["decode, crop, scale"], 0.0
    )
    for name in ("facemesh", "mar", "pose", "semantic", "selfie"):
        encoder = profile.encoder(name)
        seconds[name] = best(lambda encoder=encoder: encoder.encode(inputs))
    seconds["pictures to JPEG"] = best(encode)
    total = best(lambda: whole(source, profile))
    print(f"{clip.name}: {frames} frames at {size} px\n")
    print("| part | ms a frame | frames/s |\n|---|---:|---:|")
    for name, taken in seconds.items():
        print(f"| {name} | {1000 * taken / frames:.2f} | {frames / max(taken, 1e-9):.0f} |")
    limit = sum(seconds.values())
    print(f"| harmonic limit | {1000 * limit / frames:.2f} | {frames / limit:.1f} |")
    print(f"| **whole path** | {1000 * total / frames:.2f} | **{frames / total:.1f}** |")
    print(f"\nwhole / limit: {limit / total:.2f}")
    _bytes(video.frames, features)
    print(f"one core here against the peer's {PEER_RATE} frames/s (quoted): ", end="")
    print(f"{frames / total / PEER_RATE:.0f} x; in one run: benchmarks/peer.py")


def _bytes(pictures: np.ndarray, features: dict[str, np.ndarray]) -> None:
    """Print what a frame takes on disk, as the store packs it, and how true the pictures stay."""
    from numcodecs import Zstd

    codec, frames = ImageCodec(), len(pictures)
    coded = [codec.encode_picture(picture) for picture in pictures]
    off = [
        ((codec.decode_picture(coded[i]).astype(np.float32) - pictures[i]) ** 2).mean()
        for i in range(0, frames, 5)
    ]
    quality = 10 * np.log10(255**2 / np.maximum(off, 1e-9))
    kinds = {"pictures": sum(map(len, coded))}
    for name, array in features.items():
        if name == "parsing/selfie":  # a chunk a frame
            kinds["labels"] = sum(len(Zstd(3).encode(labels.copy())) for labels in array)
        elif name != "video/rgb":
            packed = len(Zstd(3).encode(np.ascontiguousarray(array)))
            kinds["other features"] = kinds.get("other features", 0) + packed
    print("\n| on disk | kB a frame |\n|---|---:|")
    for name, size in kinds.items():
        print(f"| {name} | {size / frames / 1000:.1f} |")
    every = sum(kinds.values()) / frames
    print(f"| all | **{every / 1000:.1f}** = 1/{PEER_BYTES / every:.1f} of {PEER_BYTES / 1000} |")
    print(f"\npictures: {quality.mean():.1f} dB, the worst {quality.min():.1f} dB")


def _the_path(clip: Path, size: int) -> Callable[[], Any]:
    source, profile = scan(clip).clips[0], load_profile("embedded", size)
    return lambda: whole(source, profile)


def _arithmetic(*_: Any) -> Callable[[], Any]:
    """Products of matrices that stay in a core's own cache: nothing is shared but the chip."""
    a = np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32)
    return lambda: [a @ a for _ in range(10_000)]


def _copying(*_: Any) -> Callable[[], Any]:
    """Memory moved from one place to another."""
    a = np.ones(2**26, np.uint8)
    b = np.empty_like(a)
    return lambda: [np.copyto(b, a) for _ in range(60)]


JOBS: dict[str, Callable[..., Callable[[], Any]]] = {
    "arithmetic in the core's cache": _arithmetic,
    "copying memory": _copying,
    "embedded visual path": _the_path,
}


def _ready(job: str, clip: Path, size: int, rounds: int) -> Callable[[], Any]:
    work = JOBS[job](clip, size)
    work()  # models are loaded
    return lambda: [work() for _ in range(rounds)]


def _together(job: str, clip: Path, size: int, count: int, rounds: int) -> float:
    """Rounds a second of `count` processes, each doing `rounds` of them."""
    return count * rounds / together(_ready, (job, clip, size, rounds), count)


def workers(clip: Path, size: int) -> None:
    """Print how two processes do against one, and what the machine gives at best."""
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    print("| job | one process, rounds/s | two | ratio |\n|---|---:|---:|---:|")
    for job in JOBS:
        one, two = (_together(job, clip, size, count, 3) for count in (1, 2))
        print(f"| {job} | {one:.3f} | {two:.3f} | **{two / one:.2f}** |", flush=True)


def looped(clip: Path, target: Path, seconds: int) -> int:
    """The clip's packets over and over until `seconds` are full; how often."""
    times = 0
    with av.open(str(target), "w") as out:
        streams: dict[int, Any] = {}
        shift = 0.0
        while shift < seconds:
            with av.open(str(clip)) as source:
                for stream in (*source.streams.video[:1], *source.streams.audio[:1]):
                    if stream.index not in streams:
                        streams[stream.index] = out.add_stream_from_template(stream)
                chosen = [source.streams[index] for index in streams]
                for packet in source.demux(*chosen):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    ticks = round(shift / packet.time_base)
                    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
                shift += float(source.duration or 0) / av.time_base + 0.1
            times += 1
    return times


def memory(clip: Path, size: int) -> None:
    """Print resident memory after clips out of an hour."""
    # where the loop closes, the picture jumps: that is no fault here
    profile = load_profile("embedded", size, crop={"video": {"cuts": "keep"}})
    with tempfile.TemporaryDirectory() as folder:
        hour = Path(folder) / f"hour{clip.suffix}"
        times = looped(clip, hour, 3600)
        clips = scan(hour).clips
        print(f"{times} times {clip.name}: {hour.stat().st_size / 1e6:.0f} MB, {len(clips)} clips")
        for number, at in enumerate(np.linspace(0, len(clips) - 1, 5).astype(int), start=1):
            source = clips[at]
            result = process_clip(source, (*VISUAL, "audio/waveform"), profile)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            start = float(source.start or Fraction(0))
            now = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
            print(
                f"clip {number} at {start:.0f} s: {result.frames} frames, "
                f"peak {peak:.0f} MiB, now {now:.0f} MiB",
                flush=True,
            )
            del result


def main(clip: str, what: str = "parts", size: str = "256") -> None:
    """Run one of the measurements."""
    {"parts": parts, "workers": workers, "memory": memory}[what](Path(clip), int(size))


if __name__ == "__main__":
    main(*sys.argv[1:])

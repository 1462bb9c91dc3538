"""Which codec keeps a head's frames best: face crops of real clips through every candidate.

Usage: python benchmarks/frame_codecs.py <folder of real clips> [frames per clip] [size ...]

One thread throughout. Every figure of a size comes from one run over the same frames: bytes a frame
(mean), milliseconds to encode and to decode (medians over frames), PSNR against the decoded crop
(mean over frames, and the worst frame).
"""

import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

from pipeline import media
from pipeline.errors import MediaError, RejectedClip
from pipeline.face.crop import CropFinder
from pipeline.media_video import read_video

FOLDERS = ("hdtf", "obama", "mead")
CLIPS_PER_FOLDER = 5
SECONDS = 8
"""Of each clip: enough to draw frames from, quick to decode."""


class Candidate(NamedTuple):
    name: str
    encode: Callable[[np.ndarray], Any]
    decode: Callable[[bytes], np.ndarray]


def candidates() -> Iterator[Candidate]:
    jpeg, jxl = imagecodecs.jpeg8_encode, imagecodecs.jpegxl_encode
    webp, avif = imagecodecs.webp_encode, imagecodecs.avif_encode
    for quality in (90, 95, 97, 98, 99):
        for optimize in (False, True) if quality in (95, 97, 98) else (False,):
            name = f"JPEG q{quality} 4:4:4{' optimised' if optimize else ''}"
            encode = partial(jpeg, level=quality, subsampling="444", optimize=optimize)
            yield Candidate(name, encode, imagecodecs.jpeg8_decode)
    for effort in (1, 3):
        encode = partial(jxl, lossless=True, effort=effort, numthreads=1)
        decode = partial(imagecodecs.jpegxl_decode, numthreads=1)
        yield Candidate(f"JPEG XL lossless effort {effort}", encode, decode)
    for distance, effort in ((0.1, 3), (0.2, 3), (0.3, 3), (0.3, 1), (0.3, 5), (0.5, 3), (1.0, 3)):
        encode = partial(jxl, distance=distance, effort=effort, numthreads=1)
        decode = partial(imagecodecs.jpegxl_decode, numthreads=1)
        yield Candidate(f"JPEG XL distance {distance} effort {effort}", encode, decode)
    webp_decode = imagecodecs.webp_decode
    for quality in (95, 100):
        encode = partial(webp, level=quality, lossless=False, method=1, numthreads=1)
        yield Candidate(f"WebP q{quality} (4:2:0)", encode, webp_decode)
    encode = partial(webp, lossless=True, level=0, method=0, numthreads=1)
    yield Candidate("WebP lossless", encode, webp_decode)
    for quality, speed in ((80, 9), (90, 9), (95, 9), (90, 6)):
        encode = partial(avif, level=quality, speed=speed, pixelformat="444", numthreads=1)
        decode = partial(imagecodecs.avif_decode, numthreads=1)
        yield Candidate(f"AVIF q{quality} 4:4:4 speed {speed}", encode, decode)


def crops(folder: Path, per_clip: int, size: int) -> dict[str, np.ndarray]:
    """Face crops as preprocessing makes them, evenly from each clip."""
    found = {}
    for group in FOLDERS:
        files = [f for f in sorted((folder / group).iterdir()) if f.suffix in (".mp4", ".mkv")]
        for file in files[:: max(1, len(files) // CLIPS_PER_FOLDER)][:CLIPS_PER_FOLDER]:
            try:
                video = read_video(media.probe(file), size, CropFinder(), end=Fraction(SECONDS))
            except (MediaError, RejectedClip) as error:
                print(f"left out: {file.name}: {error}")
                continue
            at = np.linspace(0, len(video.frames) - 1, per_clip).round().astype(int)
            found[f"{group}/{file.name}"] = video.frames[at]
    return found


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 10 * np.log10(255**2 / error) if error else np.inf


def measure(candidate: Candidate, frames: np.ndarray) -> str:
    sizes, into, out, quality = [], [], [], []
    for frame in frames:
        start = time.perf_counter()
        data = bytes(candidate.encode(frame))
        middle = time.perf_counter()
        back = candidate.decode(data)
        stop = time.perf_counter()
        sizes.append(len(data))
        into.append(middle - start)
        out.append(stop - middle)
        quality.append(psnr(frame, back))
    exact = np.isinf(quality).all()
    decibel = "exact | exact" if exact else f"{np.mean(quality):.1f} | {np.min(quality):.1f}"
    return (
        f"| {candidate.name} | {np.mean(sizes) / 1e3:.1f} | {np.median(into) * 1e3:.2f} | "
        f"{np.median(out) * 1e3:.2f} | {decibel} |"
    )


def main(folder: str, per_clip: str = "6", *sizes: str) -> None:
    for size in map(int, sizes or ("256", "512")):
        clips = crops(Path(folder), int(per_clip), size)
        frames = np.concatenate(list(clips.values()))
        print(f"\n{size}²: {len(frames)} frames of {len(clips)} clips: {', '.join(clips)}\n")
        print("| codec | kB a frame | ms in | ms out | PSNR mean, dB | worst, dB |")
        print("|---|---:|---:|---:|---:|---:|")
        for candidate in candidates():
            print(measure(candidate, frames), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

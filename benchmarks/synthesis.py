"""Synthesis end to end: how long each part takes, and what memory a long speech needs.

    python -m benchmarks.synthesis parts OUT IDENTITY AUDIO [--render-size N]
    python -m benchmarks.synthesis long OUT IDENTITY AUDIO [--minutes 1 10]

`parts` times one video of AUDIO by the head and network of OUT (a folder of `emohead run`), in one
process; the encoder of the video works beside it, on the same cores. `long` repeats AUDIO to each
length and makes a small video of it in a process of its own; the peaks of resident memory and the
seconds are what it prints.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flows.choices import write_wav
from flows.config import SynthesizeConfig
from flows.orchestra import call
from flows.store_features import listening_profile, named
from flows.synthesis.driving import driving
from flows.synthesis.look import Look
from flows.synthesis.preflight import checked
from flows.synthesis.staging import staged
from models import SpeechFeatures, read_steps, speak
from pipeline import clock
from pipeline.features import TOKENS
from pipeline.sound import read_sound, speech_inputs
from store import Cache

SPENT: dict[str, float] = defaultdict(float)


def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*arguments, **named)
        finally:
            SPENT[name] += time.perf_counter() - began

    return run


def config_of(args: argparse.Namespace, out: Path, audio: Path, **look: Any) -> SynthesizeConfig:
    return SynthesizeConfig(
        store=str(args.out / "store"),
        identity=args.identity,
        head=args.out / "heads" / args.identity,
        network=args.out / "network",
        audio=audio,
        out=out,
        render_size=args.render_size,
        look=Look(**look),
    )


def parts(args: argparse.Namespace) -> None:
    """One video, every part under a clock. Loading and compiling are done before it runs."""
    import render.scene as scene_module
    from render.content_credentials import sign, why_not
    from render.segments import Segments
    from render.soundtrack import write_soundtrack
    from render.xmp import add_xmp, tags, xmp_packet

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = config_of(args, work / "v.mp4", args.audio)
        request = checked(config)
        cache = Cache.open(config.store)
        snapshot = cache.snapshot(config.ref)
        config = named(config, cache, snapshot)
        profile = listening_profile(snapshot, config.dataset, config.names)
        names = config.names
        wanted = {names.audio, names.emotion, names.text}
        encoders = [e for e in profile.encoders if {s.name for s in e.outputs} & wanted]
        # Once for nothing: models are loaded, kernels compiled.
        for encoder in encoders:
            encoder.encode(speech_inputs(request.samples[: 25 * 640]))
        arrays: dict[str, np.ndarray] = {}
        for encoder in encoders:
            inputs = speech_inputs(request.samples)
            arrays |= timed(f"feature: {encoder.name}", encoder.encode)(inputs)
        features = SpeechFeatures(
            read_steps(arrays[names.audio]),
            read_steps(arrays[names.emotion]),
            arrays[names.text + TOKENS],
            arrays[names.text],
        )
        speech = timed("network and steering", speak)(
            request.checkpoint, features, None, config.identity
        )
        course = driving(
            snapshot, config.dataset, config.identity, names, request.frames, config.look
        )
        stage = timed("background plate, body", staged)(config, snapshot, speech.alpha, course)
        scene = stage.scene
        scene.head.render(scene.cameras[0], scene.alpha[0], scene.render_size)
        scene.head.render = timed("render", scene.head.render)
        if scene.torso is not None:
            scene.torso.layer = timed("torso layer, read", scene.torso.layer)
        scene_module.over = timed("composition", scene_module.over)
        segments = Segments(work / "pieces", scene.size, request.coding, request.frames)
        write = timed("into the video encoder", segments.write)
        began = time.perf_counter()
        for frame in scene.frames():
            write(frame)
        timed("into the video encoder", segments.finish)()
        joined = work / "joined.mp4"

        def finish() -> None:
            sound = write_soundtrack(args.audio, work / "sound", request.frames)
            segments.join(joined, sound, tags("benchmark", {}))
            add_xmp(joined, xmp_packet("benchmark", {}))
            if why_not(joined) is None:
                sign(joined, work / "signed.mp4", "v.mp4", ("benchmark", "1"), {})

        timed("sound, join, marks", finish)()
        loop = time.perf_counter() - began
    seconds = request.frames / clock.FPS
    total = sum(SPENT.values())
    print(f"{request.frames} frames, head at {scene.render_size} px, video {scene.size} px")
    for name, spent in SPENT.items():
        frames = 1000 * spent / request.frames
        print(
            f"{name:<26} {frames:8.2f} ms a frame {spent / seconds:7.3f} s/s {spent / total:6.1%}"
        )
    print(f"all: {total / seconds:.2f} s a second of speech, {seconds / total:.2f} x real time")
    around = loop - SPENT["render"]
    print(f"frames to finished file, without the renderer: {around / SPENT['render']:.1%} of it")


def one(args: argparse.Namespace) -> None:
    """A long speech, small pictures; prints frames, seconds and peak memory."""
    from flows.synthesize import synthesize

    samples = read_sound(args.audio)
    samples = samples[: len(samples) // 640 * 640]
    wanted = int(args.minutes[0] * 60 * clock.SAMPLE_RATE)
    tiled = np.tile(samples, -(-wanted // len(samples)))[:wanted]
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "long.wav"
        write_wav(audio, np.clip(np.round(tiled * 32767), -32768, 32767).astype(np.int16))
        del samples, tiled
        began = time.perf_counter()
        record = call(
            synthesize, config_of(args, Path(folder) / "v.mp4", audio, size=64, background="grey")
        )
        spent = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"RESULT {args.minutes[0]:g} min: {record['frames']} frames, {spent:.0f} s, "
        f"peak {peak:.0f} MiB, {record['seconds']}",
        flush=True,
    )


def long(args: argparse.Namespace) -> None:
    """Each length in a process of its own, so that peaks do not mix."""
    for minutes in args.minutes:
        line = [sys.executable, "-m", "benchmarks.synthesis", "one", str(args.out), args.identity]
        line += [str(args.audio), "--minutes", str(minutes), "--render-size", "32"]
        ran = subprocess.run(line, capture_output=True, text=True)
        told = [row for row in ran.stdout.splitlines() if row.startswith("RESULT")]
        print("\n".join(told) or f"failed: {ran.stderr[-800:]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("parts", "long", "one"))
    parser.add_argument("out", type=Path)
    parser.add_argument("identity")
    parser.add_argument("audio", type=Path)
    parser.add_argument("--render-size", type=int, default=None)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0])
    args = parser.parse_args()
    {"parts": parts, "long": long, "one": one}[args.what](args)


if __name__ == "__main__":
    main()

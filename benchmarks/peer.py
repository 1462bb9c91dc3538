"""One clip through the peers' steps and through emohead, in one run.

`python -m benchmarks.peer CLIP 3DDFA_FOLDER [frames] [cores] [face_alignment]`

Peers: the steps of RAD-NeRF's `data_utils/process.py` (ashawkey/RAD-NeRF, commit 0de5ed2), one
after another, one picture at a time, files between them, at 512 pixels, with as many threads as
there are `cores`. Their networks are built anew with random weights: the same arithmetic, output
without meaning (BiSeNet here; wav2vec2-large of transformers; S3FD and FAN-4 from the folder
`face_alignment` of an unpacked wheel of that name, 1.5). Where this is kinder than the script, it
is meant to be: BiSeNet without its two training heads, no decoding of boxes, no in-painting of the
torso, models loaded beforehand. Face tracking is left out: its rasteriser does not install here.

emohead: as many worker processes as `cores`, one thread each, models loaded, the first frames of
the same clip (4 times `frames`, 16 times for `embedded`) at 512 pixels, pictures and masks encoded
as the store does. A head makes its plate and torso layers when it is trained; the last column adds
them, as the peers' steps hold theirs.

| peers | `paper` | `embedded` |
|---|---|---|
| sound, wav2vec2 labels | HuBERT-base (random weights) | log-mel, prosody |
| pictures | the same | the same |
| BiSeNet | BiSeNet, ONNX Runtime fp32 or OpenVINO int8 (random weights) | selfie mask and mesh |
| S3FD, FAN-4 | face mesh | face mesh |
| (tracking) | pose, 3DDFA mb05 (real weights) | pose, ten coefficients |
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.together import together
from pipeline.ffmpeg import ffmpeg_exe

SIZE = 512
QUOTED = {
    "sound": 1.5,
    "speech labels": 52.6,
    "pictures": 3.1,
    "parsing": 197.7,
    "background": 29.9,
    "torso": 38.6,
    "landmarks": 1145.0,
}
"""ms a frame of the script itself on two cores of another machine (AVX-512)."""
TRACKING = (1180, 2580)
"""ms a frame of its face tracking there, without the rasteriser; not run here."""


def timed(work: Callable[[], Any], count: int) -> float:
    """Milliseconds a frame of work over `count` frames."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began) / count


def module_at(path: Path) -> Any:
    """A module by its file, without its package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_bisenet(seed: int = 0) -> Any:
    """BiSeNet whose values keep their size from layer to layer."""
    import torch

    from pipeline.face.bisenet_net import BiSeNet

    torch.manual_seed(seed)
    network = BiSeNet().eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return network


class Peers:
    """Their steps on the first pictures of a clip."""

    def __init__(self, clip: Path, labels: np.ndarray, folder: Path, alignment: Path | None):
        """Build the networks; `labels` are the masks that their later steps read."""
        import torch
        from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

        self.clip, self.labels, self.folder, self.torch = clip, labels, folder, torch
        self.parser = random_bisenet()
        settings = Wav2Vec2Config(
            vocab_size=44,
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            conv_bias=True,
        )
        self.listener = Wav2Vec2ForCTC(settings).eval()
        self.finder = self.liner = None
        if alignment is not None:
            self.finder = module_at(alignment / "detection/sfd/net_s3fd.py").s3fd().eval()
            self.liner = module_at(alignment / "models/fan.py").FAN(4).eval()

    def run(self) -> dict[str, float]:
        """Milliseconds a frame by step."""
        n = len(self.labels)
        said = {"sound": self.sound, "pictures": self.pictures}
        found = {}
        for name, work in said.items():
            whole = timed(work, 1)
            found[name] = whole / len(list((self.folder / "ori").glob("*.jpg")) or [1] * 200)
        found["speech labels"] = timed(self.speech, n)
        found["parsing"] = timed(self.parsing, n)
        found["background"] = timed(self.background, 1) / 20  # every 20th picture
        found["torso"] = timed(self.torso, n)
        if self.finder is not None:
            found["landmarks"] = timed(self.landmarks, n)
        return found

    def _ffmpeg(self, *arguments: str) -> None:
        command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-i", str(self.clip)]
        subprocess.run([*command, *arguments], check=True)

    def sound(self) -> None:
        """Task 1."""
        self._ffmpeg("-f", "wav", "-ar", "16000", str(self.folder / "aud.wav"))

    def pictures(self) -> None:
        """Task 3."""
        (self.folder / "ori").mkdir()
        target = str(self.folder / "ori/%d.jpg")
        self._ffmpeg("-vf", f"fps=25,scale={SIZE}:{SIZE}", "-qmin", "1", "-q:v", "1", target)

    def speech(self) -> None:
        """Task 2: windows of 10 + 50 + 10 steps of 20 ms."""
        import soundfile

        audio, _ = soundfile.read(self.folder / "aud.wav", dtype="float32", always_2d=True)
        mono = np.pad(audio[:, 0], (3200, 32_000))
        with self.torch.inference_mode():
            for start in range(0, len(self.labels) * 640, 16_000):
                window = mono[start : start + 22_400]
                self.listener(self.torch.from_numpy(window[None].copy()))

    def _picture(self, number: int) -> Path:
        return self.folder / f"ori/{number + 1}.jpg"

    def parsing(self) -> None:
        """Task 4: the network's answer is thrown away, masks with a meaning are written."""
        from PIL import Image

        colours = np.random.default_rng(0).integers(0, 255, (256, 3)).astype(np.uint8)
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        (self.folder / "parsing").mkdir()
        with self.torch.inference_mode():
            for number, labels in enumerate(self.labels):
                image = Image.open(self._picture(number)).resize((SIZE, SIZE), Image.Resampling(2))
                x = ((np.asarray(image) / 255 - mean) / deviation).astype(np.float32)
                out = self.parser(self.torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
                out.squeeze(0).numpy().argmax(0)
                Image.fromarray(colours[labels]).save(self.folder / f"parsing/{number}.png")

    def background(self) -> None:
        """Task 5 on one picture: distance of every pixel to the person."""
        from sklearn.neighbors import NearestNeighbors

        person = np.argwhere(self.labels[0] != 0)
        every = np.mgrid[0:SIZE, 0:SIZE].reshape(2, -1).T
        tree = NearestNeighbors(n_neighbors=1, algorithm="kd_tree").fit(person)
        tree.kneighbors(every)

    def torso(self) -> None:
        """Task 6: masks read back, two pictures written."""
        import cv2

        (self.folder / "gt").mkdir()
        (self.folder / "torso").mkdir()
        for number, labels in enumerate(self.labels):
            image = cv2.imread(str(self._picture(number)))
            drawn = cv2.imread(str(self.folder / f"parsing/{number}.png"))
            if image is None or drawn is None:
                raise SystemExit(f"{self._picture(number)} is gone")
            image[labels == 0] = 0
            cv2.imwrite(str(self.folder / f"gt/{number}.jpg"), image)
            alpha = np.isin(labels, (14, 15, 16)).astype(np.uint8)[..., None] * 255
            torso = np.concatenate([image * (alpha > 0), alpha], axis=2)
            cv2.imwrite(str(self.folder / f"torso/{number}.png"), torso)

    def landmarks(self) -> None:
        """Task 7: the networks alone."""
        import cv2

        if self.finder is None or self.liner is None:
            raise SystemExit("landmarks need the networks")
        with self.torch.inference_mode():
            for number in range(len(self.labels)):
                image = np.asarray(cv2.imread(str(self._picture(number))), np.float32)
                x = image.transpose(2, 0, 1)[None] - np.array([104, 117, 123])[None, :, None, None]
                self.finder(self.torch.from_numpy(x.astype(np.float32)))
                crop = cv2.resize(image, (256, 256)).transpose(2, 0, 1)[None] / 255
                self.liner(self.torch.from_numpy(crop.astype(np.float32)))
                np.savetxt(self.folder / f"ori/{number}.lms", np.zeros((68, 2)), "%f")


def make_weights(folder: Path, ddfa: Path) -> None:
    """A shelf: random BiSeNet in both precisions, random HuBERT-base, the real 3DDFA."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    from pipeline.onnx_export import onnx_of
    from pipeline.quantise import activation_ranges, folded
    from pipeline.weights.shelf import Shelf

    shelf = Shelf(folder / "shelf")
    new = [folder / name for name in ("bisenet", "int8", "hubert", "3ddfa")]
    for path in new:
        path.mkdir()
    network = random_bisenet()
    torch.save(network.state_dict(), new[0] / "79999_iter.pth")
    noise = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    whole = folded(network)
    ranges = activation_ranges(whole, [noise])
    shapes = ((3, SIZE, SIZE), (19, SIZE, SIZE))
    (new[1] / "79999_iter.onnx").write_bytes(onnx_of(whole, *shapes, ranges))
    settings = HubertConfig()
    HubertModel(settings).save_pretrained(new[2])
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(new[2])
    for name in ("mb05_120x120.pth", "param_mean_std_62d_120x120.pkl"):
        shutil.copyfile(ddfa / name, new[3] / name)
    shelf.add("bisenet", new[0])
    shelf.add("bisenet_int8", new[1], like="bisenet")
    shelf.add("hubert_base", new[2])
    shelf.add("3ddfa_mb05", new[3])


PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper, fp32": ("paper-emotion2vec-llama", {}),
    "paper, int8 parsing": (
        "paper-emotion2vec-llama",
        {"bisenet": {"weights": "bisenet_int8", "runtime": "openvino"}},
    ),
    "embedded": ("embedded-minilm", {}),
}
"""Text has no counterpart with the peers: the encoders of words and of emotion are left out."""


def whole(clip: Path, frames: int, name: str, shelf: Path) -> dict[str, np.ndarray]:
    """What one worker does with the clip's beginning: all features, pictures and masks packed."""
    from numcodecs import Zstd

    from pipeline.process import process_clip
    from pipeline.profiles import load_profile
    from pipeline.scan import scan
    from store import ImageCodec

    profile_name, overrides = PATHS[name]
    profile = load_profile(profile_name, SIZE, weights=shelf, **overrides)
    source = replace(scan(clip).clips[0], start=Fraction(0), end=Fraction(frames, 25))
    result = process_clip(source, list(profile.specs), profile)
    if result.rejected:
        raise SystemExit(f"{name}: {result.rejected}")
    arrays = result.arrays
    labels = arrays["parsing/bisenet" if "parsing/bisenet" in arrays else "parsing/selfie"]
    for picture, drawn in zip(arrays["video/rgb"], labels, strict=True):
        ImageCodec().encode_picture(picture)
        Zstd(3).encode(drawn)
    return arrays | {"labels": labels}


def torso_layers(arrays: dict[str, np.ndarray]) -> None:
    """Plate and torso layer of every frame, as a head makes them when it is trained."""
    from render.backdrop import TorsoLayers, background_plate
    from render.head_data import HeadData

    n = len(arrays["labels"])
    data = HeadData(
        arrays["video/rgb"], arrays["labels"], arrays["pose/camera"], 4.0 * SIZE,
        np.zeros((n, 1), np.float32), np.ones(n, bool), ("clip",) * n, np.zeros(n, bool),
    )  # fmt: skip
    layers = TorsoLayers.of(data, background_plate(data))
    for i in range(n):
        layers.layer(i)


def _ready(clip: Path, frames: int, name: str, shelf: Path) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    whole(clip, 5, name, shelf)  # models are loaded
    return lambda: whole(clip, frames, name, shelf)


def ours(clip: Path, frames: int, name: str, shelf: Path, cores: int) -> float:
    """Milliseconds a frame of `cores` workers that do `frames` frames each."""
    seconds = together(_ready, (clip, frames, name, shelf), cores)
    return 1000 * seconds / (cores * frames)


def main(clip: str, ddfa: str, frames: str = "10", cores: str = "1", alignment: str = "") -> None:
    """Print both tables."""
    import torch

    count, processes = int(frames), int(cores)
    os.environ["OMP_NUM_THREADS"] = cores
    torch.set_num_threads(processes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_weights(folder, Path(ddfa))
        shelf, path = folder / "shelf", Path(clip)
        arrays = whole(path, count, "embedded", shelf)
        layers = timed(lambda: torso_layers(arrays), count * processes)  # workers share the frames
        labels = arrays["labels"]
        found = Peers(path, labels, folder, Path(alignment) if alignment else None).run()
        print(f"{path.name}: {count} frames, {processes} core(s)\n")
        print("| peers' step | ms a frame here | quoted, two cores, AVX-512 |\n|---|---:|---:|")
        for step, there in QUOTED.items():
            here = f"{found[step]:.1f}" if step in found else "not measured: quoted"
            print(f"| {step} | {here} | {there:.1f} |")
        total = sum(found.get(step, there) for step, there in QUOTED.items())
        print(f"| all, without tracking | **{total:.0f}** | {sum(QUOTED.values()):.0f} |")
        print(f"| face tracking | not run | {TRACKING[0]}-{TRACKING[1]} |\n", flush=True)
        print(f"plate and torso layers in emohead: {layers:.1f} ms a frame\n")
        print("| emohead | ms a frame | times the peers' rate | with plate and torso layers |")
        print("|---|---:|---:|---:|")
        os.environ["OMP_NUM_THREADS"] = "1"
        for kind in PATHS:
            several = (16 if kind == "embedded" else 4) * count  # a clip costs a little by itself
            taken = ours(path, several, kind, shelf, processes)
            rates = f"**{total / taken:.1f}** | {total / (taken + layers):.1f}"
            print(f"| {kind} | {taken:.1f} | {rates} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

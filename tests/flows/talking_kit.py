"""A small world to synthesise in: two people in a store, a network of two steps, a drawn head."""

import wave
from pathlib import Path
from typing import Any

import numpy as np

from flows.config import SynthesizeConfig
from flows.synthesis.look import Look
from models import TrainConfig, train_audio_expression
from models.data import LabelledClip, SpeechFeatures, join_clips
from pipeline.hyperplanes import fit_scopes
from pipeline.samples import heldout_speech
from store import Cache, ClipRow, ClipWrite, FeatureSchema, write_clip

SIZE, FRAMES, K = 64, 40, 3
TAGS = ("neutral", "happy", "sad")
NAN = float("nan")
SCHEMAS = {
    s.name: s
    for s in (
        FeatureSchema("video/rgb", (SIZE, SIZE, 3), "uint8", 0, codec="image"),
        FeatureSchema("parsing/selfie", (SIZE, SIZE), "uint8", 255, codec="labels"),
        FeatureSchema("pose/camera", (3, 4), "float32", NAN),
        FeatureSchema("expression/semantic", (K,), "float32", NAN),
        FeatureSchema("face/found", (), "uint8", 255),
    )
}


def camera(degrees: float, x: float = 0.0) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.concatenate([turn, [[x], [0.0], [20.0]]], 1)


class DrawnHead:
    """A disc where the camera sees the head; its red tells the first coefficient."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.rendered = 0
        self.last: int | None = None
        """Frames after which the user breaks off."""
        self.coloured_from: np.ndarray | None = None
        """As the last frame was asked for."""

    def render(
        self,
        camera: np.ndarray,
        alpha: np.ndarray,
        size: int,
        *,
        coloured_from: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.pause:
            import time

            time.sleep(self.pause)
        if self.rendered == self.last:
            raise KeyboardInterrupt
        self.rendered += 1
        self.coloured_from = coloured_from
        y, x = np.mgrid[0:size, 0:size] + 0.5
        at = size / 2 + 4 * size * camera[0, 3] / camera[2, 3]
        opacity = (((x - at) ** 2 + (y - 0.4 * size) ** 2) < (0.25 * size) ** 2).astype(np.float32)
        colour = np.array([0.5 + 0.3 * np.tanh(alpha[0]), 0.5, 0.4], np.float32)
        return opacity[..., None] * colour, opacity


def picture(x: float) -> tuple[np.ndarray, np.ndarray]:
    """A person before green: blue clothes, a head `x` pixels to the right."""
    row, column = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    head = (column - 32 - x) ** 2 + (row - 26) ** 2 < 16**2
    body = (row > 44) & (np.abs(column - 32) < 26) & ~head
    labels = np.where(head, 1, np.where(body, 16, 0)).astype(np.uint8)
    colours = np.array([[40, 160, 70], [200, 150, 120], [30, 40, 150]], np.uint8)
    return colours[np.where(head, 1, np.where(body, 2, 0))], labels


def clips() -> list[LabelledClip]:
    """anna says two sentences in three emotions, bert one."""
    rng = np.random.default_rng(5)
    made = []
    for identity, tags, sentences in (("anna", TAGS, 2), ("bert", TAGS[:2], 1)):
        for t, tag in enumerate(tags):
            for s in range(sentences):
                said = rng.normal(size=(FRAMES, 3)).cumsum(0) * 0.2
                alpha = said + 3.0 * np.eye(3)[t]
                features = SpeechFeatures(
                    rng.normal(size=(FRAMES, 240)).astype(np.float32),
                    rng.normal(size=(FRAMES, 32)).astype(np.float32),
                    rng.normal(size=(3, 384)).astype(np.float32),
                    np.repeat([-1, 0, 1, 2], FRAMES // 4).astype(np.int32),
                )
                name = f"{identity}_{tag}_{s}"
                made.append(
                    LabelledClip(name, identity, tag, features, alpha.astype(np.float32), f"s{s}")
                )
    return made


def fill_store(folder: Path, made: list[LabelledClip]) -> Cache:
    cache = Cache.open(folder, create=True)
    rows = [
        ClipRow(c.clip_id, c.clip_id, FRAMES, dict.fromkeys(SCHEMAS, "f"), identity=c.identity,
                emotion=c.emotion)
        for c in made
    ]  # fmt: skip
    by_id = {c.clip_id: c for c in made}
    with cache.write("clips", SCHEMAS, "Made", {}) as session:
        for batch in session.allocate(rows):
            fork = session.fork(batch)
            for slot in batch.slots:
                clip = by_id[slot.clip_id]
                # anna turns a little; bert's poses are not known at first, then turn more.
                bert = clip.identity == "bert"
                turns = np.linspace(-15, 15, FRAMES) if bert else np.linspace(-5, 5, FRAMES)
                cameras = np.stack([camera(d, d / 20) for d in turns]).astype(np.float32)
                if bert:
                    cameras[:10] = np.nan
                pairs = [picture(4 * SIZE * d / 20 / 20) for d in turns]
                arrays = {
                    "video/rgb": np.stack([frame for frame, _ in pairs]),
                    "parsing/selfie": np.stack([labels for _, labels in pairs]),
                    "pose/camera": cameras,
                    "expression/semantic": clip.expression,
                    "face/found": np.ones(FRAMES, np.uint8),
                }
                write_clip(fork, ClipWrite(clip.clip_id, FRAMES, arrays))
            session.merge(fork)
    return cache


def make_world(folder: Path) -> Path:
    """OUT as `emohead run` leaves it: store, network, heads/anna (a head that tests draw)."""
    made = clips()
    fill_store(folder / "store", made)
    alpha = np.concatenate([c.expression for c in made])

    def per_frame(name: str) -> list[str]:
        return np.repeat([getattr(c, name) for c in made], FRAMES).tolist()

    planes, _ = fit_scopes(
        alpha, alpha[:, 0], per_frame("emotion"), per_frame("clip_id"), per_frame("identity")
    )
    config = TrainConfig(
        steps=2, batch=2, window=16, d=16, d_h=16, ffn_widths=(16,), validate_every=2, save_every=2,
        log_every=1, tensorboard=False,
    )  # fmt: skip
    train_audio_expression(join_clips(made, planes, {"snapshot": "A"}), config, folder / "network")
    (folder / "heads" / "anna").mkdir(parents=True)
    (folder / "heads" / "anna" / "head.json").write_text("{}")
    (folder / "heads" / "anna" / "head.safetensors").write_bytes(b"drawn")
    return folder


def speech(path: Path, seconds: float) -> Path:
    """The sample sentence, again and again until it is long enough."""
    with wave.open(str(heldout_speech("iris"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    wanted = int(seconds * 16_000)
    write(path, np.tile(samples, -(-wanted // len(samples)))[:wanted])
    return path


def write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())


def asked(world: Path, audio: Path, out: Path, look: dict[str, Any] | None = None,
          **more: Any) -> SynthesizeConfig:  # fmt: skip
    """A request; unsigned, so that equal videos are equal bytes."""
    base: dict[str, Any] = {
        "store": str(world / "store"),
        "identity": "anna",
        "head": world / "heads" / "anna",
        "network": world / "network",
        "audio": audio,
        "out": out,
        "look": Look(**{"content_credentials": False, **(look or {})}),
    }
    return SynthesizeConfig(**(base | more))

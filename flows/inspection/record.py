"""A clip's cells onto one clock of a Rerun recording.

Timelines: `frame` counts frames, `time` is seconds; frame i stands at i/25 s, where it begins, so
that the sound, which begins at 0, plays in step.
"""

from collections.abc import Callable, Iterator

import numpy as np
import rerun as rr
from jaxtyping import Float

from flows.inspection.clip import ClipFacts, head_angles, margins_of, planes_of, summary
from flows.inspection.colours import PALETTE
from flows.inspection.encoding import jpeg, wav
from flows.inspection.heat import heat_map
from pipeline.clock import FPS
from pipeline.face.labels import LABELS, UNKNOWN
from pipeline.face.pose import FOCAL_FACTOR
from store import FeatureSchema, Snapshot

BLOCK = 250
"""Frames read and sent at once: what bounds the memory."""
ENVELOPE = 160
"""Samples of which the waveform's curve keeps the least and the greatest: 1/100 s."""
AXIS = 0.6
"""Length of the drawn head axes, in eye distances."""
NOTHING = "-"
"""State of a lane where there is none: not drawn."""
WIDE = 2
"""A heat map is at least so many times as wide as it is tall, short clips are stretched."""
AXIS_COLOURS = ((226, 76, 76), (84, 176, 96), (84, 132, 226))


class ClipRecorder:
    """Sends one clip, feature by feature, and remembers what it sent and what was not there."""

    def __init__(
        self, stream: rr.RecordingStream, snapshot: Snapshot, dataset: str, clip: ClipFacts
    ) -> None:
        """`stream`: where to; nothing is sent yet."""
        self.stream, self.snapshot, self.dataset, self.clip = stream, snapshot, dataset, clip
        self.schemas = snapshot.features(dataset)
        self.sent: list[str] = []
        self.heat_maps: list[str] = []
        self.left_out: dict[str, str] = {}
        """Feature to reason."""
        self.has_margins = False

    def everything(self, expression: str = "expression/semantic") -> None:
        """All valid cells, words, flags; a refused clip is a page with its reasons."""
        about = rr.TextDocument(summary(self.clip), media_type=rr.MediaType.MARKDOWN)
        self.stream.log("about", about, static=True)
        self._words()
        self._emotion()
        if not self.clip.frames:
            return
        special: dict[str, Callable[[str], None]] = {
            "video/rgb": self._pictures,
            "face/landmarks": self._landmarks,
            "face/found": self._found,
            "pose/camera": self._pose,
            "audio/waveform": self._sound,
        }
        for name, schema in self.schemas.items():
            if self.snapshot.state(self.dataset, self.clip.clip_id, name) != "valid":
                self.left_out[name] = self.clip.rejected.get(name, "absent")
                continue
            if name in special:
                special[name](name)
            elif schema.codec == "labels":
                self._masks(name)
            elif name == expression:
                self._expression(name)
            elif schema.kind == "token_index":
                self._text(name)
            elif schema.shape == ():
                self._curve(f"curves/{name}", self._read(name)[:, None], (name,))
            else:
                self._features(name, schema)
            self.sent.append(name)

    def _read(self, feature: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self.snapshot.read(self.dataset, feature, self.clip.clip_id, start, stop)

    def _blocks(self, feature: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frame numbers and values, BLOCK frames at a time."""
        for start in range(0, self.clip.frames, BLOCK):
            stop = min(start + BLOCK, self.clip.frames)
            yield np.arange(start, stop), self._read(feature, start, stop)

    def _send(self, path: str, frames: np.ndarray, columns: rr.ComponentColumnList) -> None:
        self.stream.send_columns(path, clock_columns(frames), columns)

    def _pictures(self, feature: str) -> None:
        self.stream.log("face", rr.AnnotationContext(label_classes()), static=True)
        media = rr.EncodedImage.from_fields(media_type="image/jpeg")
        self.stream.log("face/frame", media, static=True)
        for frames, pictures in self._blocks(feature):
            blobs = [jpeg(picture) for picture in pictures]
            self._send("face/frame", frames, rr.EncodedImage.columns(blob=blobs))

    def _masks(self, feature: str) -> None:
        side = self.schemas[feature].shape[0]
        path = f"face/{feature}"
        shape = rr.components.ImageFormat(
            width=side, height=side, color_model="L", channel_datatype="U8"
        )
        self.stream.log(path, rr.SegmentationImage.from_fields(format=shape), static=True)
        for frames, labels in self._blocks(feature):
            buffers = labels.reshape(len(labels), -1)
            self._send(path, frames, rr.SegmentationImage.columns(buffer=list(buffers)))

    def _landmarks(self, feature: str) -> None:
        style = rr.Points2D.from_fields(radii=[0.8], colors=[(255, 255, 255)])
        self.stream.log("face/landmarks", style, static=True)
        for frames, points in self._blocks(feature):
            seen = np.isfinite(points).all(axis=(1, 2))
            lengths = np.where(seen, points.shape[1], 0)  # a lost face has no points, not zeros
            columns = rr.Points2D.columns(positions=points[seen][..., :2].reshape(-1, 2))
            self._send("face/landmarks", frames, columns.partition(lengths))

    def _found(self, feature: str) -> None:
        self.stream.log("lanes/face", hidden(), static=True)
        self._lane("lanes/face", self._read(feature), {1: "face", 0: "no face", 255: NOTHING})

    def _pose(self, feature: str) -> None:
        side = self.schemas["video/rgb"].shape[0] if "video/rgb" in self.schemas else 256
        style = rr.Arrows2D.from_fields(colors=AXIS_COLOURS, radii=[1.0])
        self.stream.log("face/pose", style, static=True)
        cameras = self._read(feature)
        seen = np.isfinite(cameras).all(axis=(1, 2))
        origins, tips = head_axes(cameras[seen], side)
        vectors = tips - origins[:, None]
        columns = rr.Arrows2D.columns(
            vectors=vectors.reshape(-1, 2), origins=np.repeat(origins, 3, axis=0)
        )
        frames = np.arange(len(cameras))
        self._send("face/pose", frames, columns.partition(np.where(seen, 3, 0)))
        self._curve("pose/angles", head_angles(cameras), ("yaw °", "pitch °", "roll °"))

    def _sound(self, feature: str) -> None:
        samples = self._read(feature).reshape(-1)
        self.stream.set_time("time", duration=0.0)
        self.stream.set_time("frame", sequence=0)
        audio = rr.AssetAudio(contents=wav(samples), media_type="audio/wav")
        self.stream.log("sound/audio", audio)
        self.stream.reset_time()
        parts = samples.reshape(-1, ENVELOPE).astype(np.float64) / 32_768
        curve = np.stack([parts.min(axis=1), parts.max(axis=1)], axis=1)
        self._curve("sound/waveform", curve, ("least", "greatest"))

    def _expression(self, feature: str) -> None:
        raw = self._read(feature)
        planes = planes_of(self.snapshot, self.dataset, self.clip.identity, feature)
        names = planes.names if planes else tuple(str(i) for i in range(raw.shape[1]))
        self._curve("expression/raw", raw, names)
        if planes is None:
            return
        self._curve("expression/whitened", planes.whitening.whiten(raw), names)
        if planes.planes:
            self.has_margins = True
            tags, margins = margins_of(planes, raw)
            self._curve("emotion/margin", margins, tags)
            self._curve("emotion/plane", np.zeros((self.clip.frames, 1)), ("the plane",))

    def _text(self, feature: str) -> None:
        index = self._read(feature)
        table = self.snapshot.tokens(self.dataset, feature, self.clip.clip_id)
        values = np.full((len(index), table.shape[1]), np.nan, np.float32)
        values[index >= 0] = table[index[index >= 0]]
        self._heat(feature, values, per_frame=1)

    def _features(self, name: str, schema: FeatureSchema) -> None:
        if schema.dtype not in ("float32", "float16", "float64"):
            self.left_out[name] = f"{schema.dtype} of shape {schema.shape} has no picture here"
            return
        values = self._read(name)
        # (2, dim) is two 50 Hz steps a frame; anything else is laid out flat
        steps = schema.shape[0] if len(schema.shape) == 2 and schema.shape[0] <= 4 else 1
        self._heat(name, values.reshape(len(values) * steps, -1), steps)

    def _heat(self, name: str, values: Float[np.ndarray, "steps dim"], per_frame: int) -> None:
        stretch = max(1, -(-WIDE * values.shape[1] // len(values)))
        picture = heat_map(values).repeat(stretch, axis=1)
        path = f"features/{name}"
        self.stream.log(f"{path}/map", rr.Image(picture).compress(90), static=True)
        across = (np.arange(self.clip.frames) + 0.5) * per_frame * stretch
        strips = [np.array([[x, 0], [x, len(picture)]]) for x in across]
        style = rr.LineStrips2D.from_fields(colors=[(255, 255, 255)], radii=[-1.0])
        self.stream.log(f"{path}/now", style, static=True)
        now = rr.LineStrips2D.columns(strips=strips)
        self._send(f"{path}/now", np.arange(self.clip.frames), now)
        self.heat_maps.append(name)

    def _words(self) -> None:
        if self.clip.words:
            self.stream.log("lanes/word", hidden(), static=True)
        for word, start, end in self.clip.words:
            self._at(start)
            self.stream.log("words", rr.TextLog(word))
            self.stream.log("lanes/word", rr.StateChange(state=word))
            if all(abs(end - other) > 1e-6 for _, other, _ in self.clip.words):
                self._at(end)
                self.stream.log("lanes/word", rr.StateChange(state=NOTHING))
        self.stream.reset_time()

    def _emotion(self) -> None:
        self._at(0.0)
        for name, reason in {**self.clip.flags, **self.clip.rejected}.items():
            self.stream.log(f"flags/{name}", rr.TextLog(reason, level=rr.TextLogLevel.WARN))
        for second in self.clip.facts.get("video", {}).get("cuts_s", ()):
            self._at(float(second))
            self.stream.log("flags/cut", rr.TextLog("a cut", level=rr.TextLogLevel.WARN))
        self._at(0.0)
        label = self.clip.emotion or "no emotion known"
        self.stream.log("lanes/emotion", rr.StateChange(state=label))
        self.stream.reset_time()

    def _at(self, seconds: float) -> None:
        self.stream.set_time("time", duration=seconds)
        self.stream.set_time("frame", sequence=int(seconds * FPS))

    def _lane(self, path: str, values: np.ndarray, names: dict[int, str]) -> None:
        changes = np.flatnonzero(np.diff(values.astype(int), prepend=-1))
        for frame in changes:
            self._at(float(frame) / FPS)
            self.stream.log(path, rr.StateChange(state=names.get(int(values[frame]), NOTHING)))
        self.stream.reset_time()

    def _curve(
        self, path: str, values: Float[np.ndarray, "moments series"], names: tuple[str, ...]
    ) -> None:
        """Curves over the clip, as many moments a frame as there are rows; NaN stays NaN."""
        self.stream.log(path, rr.SeriesLines(names=names), static=True)
        columns = rr.Scalars.columns(scalars=values.astype(np.float64).reshape(-1))
        lengths = np.full(len(values), values.shape[1])
        self._send(
            path,
            np.arange(len(values)) * self.clip.frames / len(values),
            columns.partition(lengths),
        )


def hidden() -> rr.StateConfiguration:
    """Makes a lane show nothing where its state is `NOTHING`."""
    return rr.StateConfiguration(values=[NOTHING], visible=[False])


def clock_columns(frames: Float[np.ndarray, " moments"] | np.ndarray) -> list[rr.TimeColumn]:
    """Both timelines at (fractions of) frames."""
    nanoseconds = np.round(frames * (1_000_000_000 / FPS)).astype("timedelta64[ns]")
    return [
        rr.TimeColumn("frame", sequence=np.floor(frames).astype(np.int64)),
        rr.TimeColumn("time", duration=nanoseconds),
    ]


def label_classes() -> list[tuple[int, str, tuple[int, int, int, int]]]:
    """Number, name and colour of every label; background and unknown are clear."""
    classes = [
        (number, name, (*colour, 0 if number == 0 else 255))
        for number, (name, colour) in enumerate(zip(LABELS, PALETTE, strict=True))
    ]
    return [*classes, (UNKNOWN, "unknown", (0, 0, 0, 0))]


def head_axes(
    cameras: Float[np.ndarray, "frames 3 4"], side: int
) -> tuple[Float[np.ndarray, "frames 2"], Float[np.ndarray, "frames 3 2"]]:
    """Head centre and the tips of its axes (right, down, out of the face), pixels."""
    points = np.array([[0, 0, 0], [AXIS, 0, 0], [0, AXIS, 0], [0, 0, -AXIS]], np.float64)
    seen = np.einsum("fij,pj->fpi", cameras[:, :, :3], points) + cameras[:, None, :, 3]
    flat = seen[..., :2] / seen[..., 2:] * (FOCAL_FACTOR * side) + side / 2
    return flat[:, 0], flat[:, 1:]

"""Flow `gallery`: one head in all its emotions, as a sheet of pictures and as a video."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont
from prefect import flow
from pydantic import Field

from flows.config import SynthesizeConfig
from flows.config_base import FlowConfig
from flows.errors import NothingToDo
from flows.progress import step
from flows.synthesis.acquaintance import acquainted
from flows.synthesis.finishing import finished
from flows.synthesis.look import Look
from flows.synthesis.preflight import find_head
from flows.synthesis.provenance import TOOL, provenance
from flows.synthesis.recordings import recordings_of
from models import Prediction, Timeline, load, steer
from models.checkpoint import Checkpoint
from models.data import merged_planes
from pipeline.clock import FPS
from render.carried import read_carried
from render.compositing import over
from render.marks import VisibleMark
from render.scene import Scene
from render.segments import Segments
from render.views import mean_camera, orbit
from render.xmp import xmp_packet

SWEEP = 2.0
"""Seconds in which an emotion grows and fades in the video."""
TITLE = 0.09
"""Height of the letters, of a picture's side."""


class GalleryConfig(FlowConfig):
    """Whose gallery, of what."""

    store: str = Field(description="Folder or URL of the icechunk store")
    dataset: str = Field(default="clips", description="Group of the store")
    ref: str = Field(default="main", description="Branch, tag or snapshot id")
    identity: str = Field(description="Whose head")
    head: Path = Field(description="Folder of the head")
    network: Path = Field(description="Folder of the audio-expression checkpoint")
    intensities: tuple[float, ...] = Field(
        default=(0.0, 0.5, 1.0, 1.5), min_length=1, description="Columns; 1 is as recorded"
    )
    size: int = Field(default=192, ge=64, le=1024, multiple_of=2, description="Side of a picture")
    render_size: int | None = Field(default=None, ge=32, le=1024, description="Side of the head")
    views: float = Field(default=12.0, ge=0, le=90, description="Largest turn of the last row")
    content_credentials: bool = Field(default=True, description="Sign the video (C2PA)")
    out: Path = Field(description="Folder of sheet and video")


def expression(
    checkpoint: Checkpoint, identity: str, tag: str, intensity: float
) -> Float32[np.ndarray, " k"]:
    """The mean face moved to an emotion, as steering moves a speaking one."""
    planes = merged_planes(checkpoint.planes, identity, checkpoint.train.planes)
    still = np.zeros((1, planes.whitening.k), np.float32)
    mouth = checkpoint.mouth(identity)
    moved = steer(
        Prediction(still, np.zeros(1, np.float32), still),
        Timeline.parse(f"{tag}:{intensity:f}"),
        planes,
        mouth=None if mouth is None else mouth.direction,
    )
    return moved.alpha_hat[0]


@flow(name="gallery", flow_run_name="gallery {config.identity}", persist_result=False)
def gallery(config: GalleryConfig) -> dict[str, Any]:
    """Emotions down, intensities across, and a last row of views; the video sweeps through all.

    Returns:
        Paths and what is shown, JSON-able.

    Raises:
        NothingToDo: the identity has no head, no emotion, or no clip that shows it.
    """
    find_head(config.head, config.identity)
    carried = read_carried(config.head, config.identity)
    checkpoint = load(config.network)
    if carried is not None:
        checkpoint, _ = acquainted(checkpoint, carried, config.head)
    tags = sorted(merged_planes(checkpoint.planes, config.identity, checkpoint.train.planes).planes)
    if not tags:
        raise NothingToDo(
            f"identity {config.identity!r} has no hyperplane in {config.network}, so no emotion to "
            "show; fit them on clips of several emotions and train the network again"
        )
    wanted = SynthesizeConfig(
        store=config.store,
        dataset=config.dataset,
        ref=config.ref,
        identity=config.identity,
        head=config.head,
        network=config.network,
        audio=Path(),
        render_size=config.render_size or config.size,
        look=Look(size=config.size, visible_mark=False),
        out=config.out,
    )
    recordings = recordings_of(wanted, checkpoint, carried)
    still = expression(checkpoint, config.identity, tags[0], 0.0)
    stage = recordings.stage(still[None], recordings.course(1))
    scene = stage.scene
    config.out.mkdir(parents=True, exist_ok=True)
    origin = provenance(
        {"head": config.head / "head.safetensors", "network": checkpoint.path}, recordings.origin
    )

    columns = len(config.intensities)
    with step("gallery: pictures", total=len(tags) * columns, unit="pictures") as bar:
        rows = []
        for tag in tags:
            row = []
            for intensity in config.intensities:
                face = expression(checkpoint, config.identity, tag, intensity)
                row.append(titled(shot(scene, face), f"{tag} {intensity:g}"))
                bar.advance()
            rows.append(row)
        if config.views:
            turns = np.linspace(-1, 1, columns) if columns > 1 else np.ones(1)
            beyond = replace(scene, seen=stage.seen)
            rows.append([turned(beyond, still, config.views * float(turn)) for turn in turns])
    sheet = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
    VisibleMark.of(config.size).draw(sheet[-config.size :, -config.size :])
    sheet_path = config.out / "sheet.jpg"
    Image.fromarray(sheet).save(sheet_path, quality=90, xmp=xmp_packet(" ".join(TOOL), origin))
    video = config.out / "sweep.mp4"
    marks = sweep(config, checkpoint, scene, tags, video, origin)
    record = {
        "sheet": str(sheet_path),
        "video": str(video),
        "identity": config.identity,
        "emotions": tags,
        "intensities": list(config.intensities),
        "marks": marks,
        "provenance": origin,
    }
    (config.out / "gallery.json").write_text(json.dumps(record, indent=1))
    return record


def shot(scene: Scene, alpha: Float32[np.ndarray, " k"]) -> UInt8[np.ndarray, "s s 3"]:
    """One face over the body, looked at as the clip does."""
    rgb, opacity = scene.head.render(scene.cameras[0], alpha, scene.render_size)
    torso = None if scene.torso is None else scene.torso.layer(0)
    return over(rgb, opacity, torso, behind(scene), scene.size)


def turned(
    scene: Scene, alpha: Float32[np.ndarray, " k"], degrees: float
) -> UInt8[np.ndarray, "s s 3"]:
    """The head turned to a side, over the still body."""
    # A circling camera is farthest out after one and after three quarters of its turn.
    path = orbit(mean_camera(scene.cameras), 4, abs(degrees), 0.0, 4 / FPS)
    rgb, opacity = scene.drawn(path[1 if degrees > 0 else 3], alpha)
    torso = None if scene.torso is None else scene.torso.layer(0)
    return titled(over(rgb, opacity, torso, behind(scene), scene.size), f"{degrees:+.0f} degrees")


def behind(scene: Scene) -> UInt8[np.ndarray, "s s 3"]:
    """The background of a picture."""
    if scene.background is None:
        return np.zeros((scene.size, scene.size, 3), np.uint8)
    return next(scene.background.frames(0))


def titled(picture: UInt8[np.ndarray, "s s 3"], text: str) -> UInt8[np.ndarray, "s s 3"]:
    """A line of text in the upper left corner."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(10, round(TITLE * len(picture))))
    draw.text((4, 2), text, fill="white", font=font, stroke_width=2, stroke_fill="black")
    return np.asarray(image)


def sweep(
    config: GalleryConfig,
    checkpoint: Checkpoint,
    scene: Scene,
    tags: list[str],
    video: Path,
    origin: dict[str, str],
) -> dict[str, Any]:
    """All emotions side by side, growing to the largest intensity and fading; its marks."""
    from render.codings import coding_of

    across = int(np.ceil(np.sqrt(len(tags))))
    side = across * scene.size
    frames = int(SWEEP * FPS)
    strength = max(config.intensities) * (
        0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / frames)
    )
    mark = VisibleMark.of(side)
    with tempfile.TemporaryDirectory(dir=config.out, prefix=".gallery-") as folder:
        work = Path(folder)
        with (
            step("gallery: video", total=frames, unit="frames") as bar,
            Segments(work / "pieces", side, coding_of(video), frames) as segments,
        ):
            for value in strength:
                canvas = np.zeros((side, side, 3), np.uint8)
                for i, tag in enumerate(tags):
                    face = expression(checkpoint, config.identity, tag, float(value))
                    y, x = divmod(i, across)
                    part = canvas[y * scene.size :, x * scene.size :]
                    part[: scene.size, : scene.size] = titled(shot(scene, face), tag)
                mark.draw(canvas)
                segments.write(canvas)
                bar.advance()
        done, marks = finished(segments, work, video.name, None, origin, config.content_credentials)
        done.replace(video)
    return marks

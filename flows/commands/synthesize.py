"""Commands that make pictures of a trained head: synthesize, gallery."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows.commands.options import OUT, Emotion, Json, Made, Out, Ref, StoreOfOut, System

app = typer.Typer()

Identity = Annotated[str, typer.Option("--identity", help="Whose head.")]
Mark = Annotated[
    bool,
    typer.Option(
        "--visible-mark/--no-visible-mark",
        help="The word 'synthetic' in the corner. Who leaves it out must say it otherwise.",
    ),
]


@app.command()
def synthesize(
    audio: Annotated[Path, typer.Option("--audio", help="Speech; any file ffmpeg reads.")],
    identity: Annotated[
        str | None, typer.Option("--identity", help="Whose head, or whose first frame.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", help="Picture of one face: it speaks, without a head of its own."
        ),
    ] = None,
    draw: Annotated[
        Literal["head", "portrait"] | None,
        typer.Option(
            help="A trained head, or the video diffusion model from one picture; default: portrait "
            "with --picture or --system emodiffhead, else head."
        ),
    ] = None,
    emotion: Emotion = None,
    timeline: Annotated[
        Path | None, typer.Option(help="The emotions as a YAML file, instead of --emotion.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="What is said; without it, it is recognised.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Video (.mp4, .mov, .webm); default: OUT/video.mp4.")
    ] = None,
    background: Annotated[
        str,
        typer.Option(
            help="original, transparent (.mov: ProRes 4444, .webm: VP9), a picture, a video, or "
            "a colour (#20a060, white)."
        ),
    ] = "original",
    background_fit: Annotated[
        str, typer.Option(help="exact, or cover: cut and enlarged until it fits.")
    ] = "exact",
    background_end: Annotated[
        str, typer.Option(help="A background video that ends early: refuse, loop or hold.")
    ] = "refuse",
    pose_from: Annotated[
        str | None, typer.Option(help="Clip of the store whose head movements are taken.")
    ] = None,
    orbit: Annotated[
        float | None,
        typer.Option(help="The head turns by so many degrees to each side, over its still body."),
    ] = None,
    orbit_pitch: Annotated[float, typer.Option(help="The same up and down, degrees.")] = 0.0,
    orbit_seconds: Annotated[float, typer.Option(help="One turn there and back, seconds.")] = 6.0,
    size: Annotated[
        int | None, typer.Option(help="Side of the video, pixels; default: the stored frames'.")
    ] = None,
    render_size: Annotated[
        int | None, typer.Option(min=32, max=1024, help="Side the head is rendered at.")
    ] = None,
    visible_mark: Mark = True,
    content_credentials: Annotated[
        bool,
        typer.Option(
            "--content-credentials/--no-content-credentials",
            help="Sign the video (C2PA) where c2pa-python is installed.",
        ),
    ] = True,
    sampling_steps: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Portrait: steps of diffusion a frame; default: 10."),
    ] = None,
    expression_scale: Annotated[
        float | None,
        typer.Option(min=0, max=20, help="Portrait: exaggerate expression; default: 1, as told."),
    ] = None,
    system: System = "emohead",
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    profile: Made = None,
    as_json: Json = False,
) -> None:
    """Speech and a timeline of emotions to a video, by the models of OUT.

    Example: emohead synthesize --identity M030 --audio a.wav --emotion "happy@0-2, sad@3-5:0.8"

    Example: emohead synthesize --system emodiffhead --picture me.jpg --audio a.wav --emotion happy
    """
    from flows.config import SynthesizeConfig
    from flows.orchestra import run
    from flows.synthesis.look import Look, OneShot
    from flows.synthesize import synthesize as flow
    from flows.systems import network_folder, portrait_folder

    drawn = draw or ("portrait" if picture or system == "emodiffhead" else "head")
    given: dict[str, Any] = {
        "picture": picture,
        "steps": sampling_steps,
        "expression_scale": expression_scale,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and drawn == "head":
        raise typer.BadParameter(
            "--picture, --sampling-steps, --expression-scale: a head needs none of them; give "
            "--draw portrait, or leave them out"
        )
    one_shot = OneShot(**given) if drawn == "portrait" else None

    look: dict[str, Any] = {
        "size": size,
        "background": background,
        "background_fit": background_fit,
        "background_end": background_end,
        "pose_from": pose_from,
        "orbit": orbit,
        "orbit_pitch": orbit_pitch,
        "orbit_seconds": orbit_seconds,
        "visible_mark": visible_mark,
        "content_credentials": content_credentials,
    }
    config = SynthesizeConfig(
        store=store or str(out / "store"),
        ref=ref,
        profile=profile,
        identity=identity or "",
        head=portrait_folder(out, system) if one_shot else out / "heads" / (identity or ""),
        one_shot=one_shot,
        network=network_folder(out, system),
        audio=audio,
        emotion=emotion,
        timeline=timeline,
        text=text,
        out=video or out / "video.mp4",
        render_size=render_size,
        look=Look(**look),
    )
    record = run(flow, config)
    typer.echo(json.dumps(record, default=str) if as_json else told(record))


def told(record: dict[str, Any]) -> str:
    """What was made, in a few lines."""
    lines = [f"video: {record['video']}", *record["notes"]]
    if "picture" in record:
        lines.append(f"drawn from {record['picture']}, at {record['drawn_size']} pixels")
    for angle in ("yaw", "pitch"):
        if f"{angle}_degrees" not in record:
            continue
        low, high = record[f"{angle}_degrees"]
        known = record[f"recorded_{angle}_degrees"]
        if low < known[0] - 2 or high > known[1] + 2:
            lines.append(
                f"{angle} goes from {low} to {high} degrees, recorded were {known[0]} to "
                f"{known[1]}: what lies beyond was never seen by a camera"
            )
    marks = record["marks"]
    lines.append(
        f"marks: {'visible label, ' if marks['visible'] else ''}metadata; Content Credentials "
        f"{marks['c2pa']}"
    )
    return "\n".join(lines)


@app.command()
def gallery(
    identity: Identity,
    intensities: Annotated[
        str, typer.Option(help="Columns, separated by commas; 1 is as recorded.")
    ] = "0,0.5,1,1.5",
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side of a picture.")] = 192,
    views: Annotated[
        float, typer.Option(min=0, max=90, help="Last row: the head turned so far; 0: no such row.")
    ] = 12.0,
    content_credentials: Annotated[
        bool, typer.Option("--content-credentials/--no-content-credentials", help="Sign the video.")
    ] = True,
    folder: Annotated[
        Path | None, typer.Option("--to", help="Folder to write to; default: OUT/gallery.")
    ] = None,
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    as_json: Json = False,
) -> None:
    """A trained head in all its emotions: a sheet of pictures, and a video that sweeps through.

    Example: emohead gallery --identity M030 --out out
    """
    from flows.gallery import GalleryConfig
    from flows.gallery import gallery as flow
    from flows.orchestra import run

    try:
        columns = tuple(float(part) for part in intensities.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--intensities {intensities!r}: numbers and commas") from error
    config = GalleryConfig(
        store=store or str(out / "store"),
        ref=ref,
        identity=identity,
        head=out / "heads" / identity,
        network=out / "network",
        intensities=columns,
        size=size,
        views=views,
        content_credentials=content_credentials,
        out=folder or out / "gallery",
    )
    record = run(flow, config)
    if as_json:
        typer.echo(json.dumps(record, default=str))
    else:
        typer.echo(f"sheet: {record['sheet']}\nvideo: {record['video']}")

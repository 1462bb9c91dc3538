"""A head to give away: a folder that speaks without the store it was trained from.

    TO/heads/IDENTITY        the head, and what it carries (`render.carried`)
    TO/network               the network, without what training it takes
    TO/README-IDENTITY.txt   for whoever receives it

The network is copied as it is; the head's weights, too, so that videos name the same hashes.
"""

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field

from flows.config import StoreReading
from flows.errors import FlowError, NothingToDo
from flows.fit_hyperplanes import read_planes
from flows.progress import step
from flows.store_features import heard_by, named
from flows.synthesis.driving import own_stretch, sampled
from flows.synthesis.preflight import find_head
from flows.synthesis.provenance import disagreements, file_hash
from flows.synthesis.staging import finite, recorded_torso
from flows.train_head import head_clips
from models import load
from models.checkpoint import Checkpoint
from pipeline.clock import FPS
from pipeline.hyperplane_record import to_record
from render.backdrop import background_plate
from render.carried import Carried, head_record, packed, read_carried, write_carried
from store import Cache, Snapshot

README = """A head of {identity}, made by emohead {version}.

    emohead synthesize --out THIS_FOLDER --identity {identity} --audio a.wav --emotion happy

It shows a real person, {identity}: the head as a model, and {seconds:.1f} seconds of recorded neck,
clothes and background. Let it say only what the person agreed to, give it to nobody else, and
delete it when the person asks for that. Its videos are marked as synthetic; leave the marks there.
"""


class ExportHeadConfig(StoreReading):
    """A trained head, to a folder that needs no store."""

    identity: str = Field(description="Whose head")
    head: Path = Field(description="Folder of the trained head")
    network: Path = Field(description="Folder of the audio-expression checkpoint")
    to: Path = Field(description="Folder to write: heads/IDENTITY and the network inside")
    seconds: float = Field(
        default=20.0,
        ge=0.5,
        le=120,
        description="Longest stretch of recorded torso and poses that is carried",
    )


def export_head(config: ExportHeadConfig) -> dict[str, Any]:
    """Write the folder; an earlier export of this identity is replaced when the new one is whole.

    Returns:
        What was written, JSON-able.

    Raises:
        NothingToDo: no head of the identity, or no clip with a pose in half a second of frames.
        FlowError: head and network read different coefficients; the folder holds what is no
            export, or another network.
        HeadFolderError: half a head, or somebody else's.
    """
    find_head(config.head, config.identity)
    read_carried(config.head, config.identity)
    checkpoint = load(config.network)
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    check_width(config, snapshot)
    target = config.to / "heads" / config.identity
    network = config.to / config.network.name
    check_target(target, network, checkpoint)
    with step("export head"):
        carried = carried_of(config, snapshot, checkpoint)
        draft = config.to / f".{config.identity}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        write_carried(config.head, draft, carried)
        write_network(checkpoint, network)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        draft.replace(target)
        seconds = len(carried.cameras) / FPS
        told = README.format(identity=config.identity, version=version("emohead"), seconds=seconds)
        (config.to / f"README-{config.identity}.txt").write_text(told, "utf-8")
    return {
        "folder": str(config.to),
        "identity": config.identity,
        "clip": carried.facts["clip"],
        "frames": len(carried.cameras),
        "seconds": seconds,
        "snapshot": snapshot.id,
        "bytes": {
            str(path.relative_to(config.to)): path.stat().st_size
            for folder in (target, network)
            for path in sorted(folder.iterdir())
        },
        "notes": disagreements(config.head, config.network),
    }


def carried_of(config: ExportHeadConfig, snapshot: Snapshot, checkpoint: Checkpoint) -> Carried:
    """The stretch that `synthesize` would drive the head with, from its first frame on."""
    dataset, who, names = config.dataset, config.identity, config.names
    clip, run = own_stretch(snapshot, dataset, who, names)
    stop = min(run.stop, run.start + round(config.seconds * FPS))
    everything = sampled(snapshot, dataset, head_clips(snapshot, dataset, who, names), names)
    plate = background_plate(everything)
    beneath = recorded_torso(snapshot, dataset, clip, names, plate)

    def pictures() -> Iterator[tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]]:
        with step("torso", total=stop - run.start, unit="frames") as bar:
            for row in range(run.start, stop):
                yield beneath(row)
                bar.advance()

    files, ends = packed(pictures())
    # Steering goes by the network's own planes; the store's are for a person it never met.
    planes = checkpoint.planes.get(who)
    if planes is None:
        planes = read_planes(snapshot, dataset, names.expression).get(who)
    if planes is None:
        raise NothingToDo(
            f"neither {config.network} nor the store knows the whitening of {who!r}; fit it "
            f"(emohead fit-hyperplanes --store {config.store}) or train the network on its clips"
        )
    arrays, attributes = to_record(planes)
    facts: dict[str, Any] = {
        "identity": who,
        "snapshot": snapshot.id,
        "clip": clip,
        "first_frame": run.start,
        "frames": stop - run.start,
        "fps": FPS,
        "size": len(plate),
        "features": names.model_dump(),
        "hearing": heard_by(snapshot, dataset, names),
        "planes": attributes,
        "mouth": checkpoint.state.get("mouth", {}).get(who),
        "made_by": f"emohead {version('emohead')}",
    }
    cameras = snapshot.read(dataset, names.camera, clip, run.start, stop).astype(np.float64)
    return Carried(cameras, finite(everything).cameras, plate, files, ends, facts, arrays)


def check_width(config: ExportHeadConfig, snapshot: Snapshot) -> None:
    """Refuse a head that reads another expression feature than the network speaks in.

    Raises:
        FlowError: names both.
    """
    width = int(snapshot.features(config.dataset)[config.names.expression].shape[0])
    read = head_record(config.head).get("field", {}).get("coefficients", width)
    if read != width:
        raise FlowError(
            f"{config.head} reads {read} coefficients, {config.names.expression} of the network in "
            f"{config.network} has {width}; train one of them again, on the same feature"
        )


def check_target(target: Path, network: Path, checkpoint: Checkpoint) -> None:
    """Never write over what is no export, nor part heads from their network.

    Raises:
        FlowError: names what lies there.
    """
    if target.exists() and "carried" not in (
        head_record(target) if (target / "head.json").is_file() else {}
    ):
        raise FlowError(
            f"{target} is there and is no exported head: it would be replaced; give another folder "
            "(--to)"
        )
    there = network / checkpoint.path.name
    if network.exists() and not (
        there.is_file() and file_hash(there) == file_hash(checkpoint.path)
    ):
        raise FlowError(
            f"{network} holds another network than {checkpoint.path.parent}; the heads exported "
            "before speak by it: give another folder (--to), or delete that one"
        )


def write_network(checkpoint: Checkpoint, network: Path) -> None:
    """The weights that speak, and what says where they come from; not the state of training."""
    if network.exists():
        return
    draft = network.with_name(f".{network.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for name in (checkpoint.path.name, checkpoint.path.stem + ".json", "made-from.json"):
        if (checkpoint.path.parent / name).is_file():
            shutil.copyfile(checkpoint.path.parent / name, draft / name)
    draft.replace(network)

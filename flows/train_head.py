"""Flow `train-head`: cached frames, cameras and coefficients of one identity to a radiance field
of its head."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import HeadFlowConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.fit_hyperplanes import planes_key, read_planes
from flows.orchestra import call, note_table
from flows.presets import configured, head_settings
from flows.progress import step
from flows.reading import cells_key, clips_with
from flows.store_features import named
from flows.train_audio_expression import network_clips, splits_of
from pipeline.face.pose import FOCAL_FACTOR
from render.head_config import HeadConfig
from render.head_data import HeadData, hold_out
from store import Cache, Snapshot

MAX_FRAMES = 2400
"""Frames of one identity that are read.

More are thinned out evenly, so that memory stays below 1 GB at 256².
"""


def head_features(names: FeatureNames) -> tuple[str, ...]:
    """Cells a head is trained from."""
    return (names.frames, names.parsing, names.camera, names.expression, names.found)


def head_clips(snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames) -> list[str]:
    """Clips of an identity with everything a head needs.

    Raises:
        NothingToDo: there is none; the identities that could be rendered are named.
    """
    usable = clips_with(snapshot, dataset, head_features(names))
    who = snapshot.clips(dataset).identity
    clips = [clip_id for clip_id in usable if who[clip_id] == identity]
    if not clips:
        known = ", ".join(sorted({who[clip_id] for clip_id in usable})) or "none"
        raise NothingToDo(
            f"identity {identity!r} has no clip with frames, parsing and pose; "
            f"identities that do: {known}"
        )
    return clips


def head_data(
    snapshot: Snapshot,
    dataset: str,
    clip_ids: list[str],
    names: FeatureNames,
    *,
    thin: bool = True,
) -> HeadData:
    """Arrays of one identity, coefficients whitened by its stored statistics.

    Held out are the clips that the network did not learn from either; where the corpus leaves all
    clips to training, the last ones are held out.
    """
    table = snapshot.clips(dataset)
    identity = table.identity[clip_ids[0]]
    planes = read_planes(snapshot, dataset, names.expression)
    if identity not in planes:
        raise NothingToDo(
            f"identity {identity!r} has no whitening statistics: its coefficients never move or "
            "no face was found; add clips in which it speaks"
        )
    whitening = planes[identity].whitening
    lengths = [snapshot.frames(dataset, clip_id) for clip_id in clip_ids]
    stride = max(1, -(-sum(lengths) // MAX_FRAMES)) if thin else 1

    def read(feature: str) -> np.ndarray:
        return np.concatenate(
            [snapshot.read(dataset, feature, clip_id)[::stride] for clip_id in clip_ids]
        )

    frames = read(names.frames)
    counts = [-(-length // stride) for length in lengths]
    per_frame = tuple(str(c) for c in np.repeat(clip_ids, counts))
    test = held_out_frames(snapshot, dataset, names, per_frame)
    return HeadData(
        frames=frames,
        labels=read(names.parsing),
        cameras=read(names.camera).astype(np.float64),
        focal=FOCAL_FACTOR * frames.shape[1],
        alpha=whitening.whiten(read(names.expression)),
        found=read(names.found) == 1,
        clip_ids=per_frame,
        test=test,
        tags=tuple(str(table.emotion[c] or "") for c in per_frame),
    )


def held_out_frames(
    snapshot: Snapshot, dataset: str, names: FeatureNames, clip_of_frame: tuple[str, ...]
) -> Bool[np.ndarray, " frames"]:
    """Frames of the clips that the network holds out; of a lone clip its last fifth.

    Clips that the network never sees (no sound) are trained on.
    """
    if len(set(clip_of_frame)) > 1:
        splits = splits_of(snapshot, dataset, network_clips(snapshot, dataset, names))
        test = np.array([splits.get(clip_id, "train") != "train" for clip_id in clip_of_frame])
        if test.any() and not test.all():
            return test
    return hold_out(clip_of_frame)


@task(name="train head", cache_policy=NO_CACHE, persist_result=False)
def train(
    data: HeadData, config: HeadConfig, out: Path, provenance: dict[str, Any]
) -> dict[str, Any]:
    """The loop itself; goes on where a killed run stopped. Returns the head's facts."""
    from render.trainer import train_head as fit

    with step("train head", total=config.steps, unit="steps") as bar:

        def seen(done: int, total: int, metrics: dict[str, float]) -> None:
            bar.total = total
            bar.update(done, note=f"PSNR {metrics.get('psnr', float('nan')):.1f} dB")

        return fit(data, config, out, seen, provenance).facts


@task(name="score head", cache_policy=NO_CACHE, persist_result=False)
def score(folder: Path, data: HeadData, frames: int) -> dict[str, Any]:
    """See `scores_of`."""
    with step("score head"):
        return scores_of(folder, data, frames)


def scores_of(folder: Path, data: HeadData, frames: int) -> dict[str, Any]:
    """PSNR, SSIM and landmark distances on held-out frames, beside the baselines; or why not."""
    from render.errors import HeadDataError
    from render.expression_score import score_expression
    from render.head import load_head
    from render.metrics import score_head

    head = load_head(folder)
    table: dict[str, Any] = {}
    for what, measure in (("pictures", score_head), ("expression", score_expression)):
        try:
            table |= measure(head, data, frames).record()
        except HeadDataError as error:
            table[what] = f"not measured: {error}"
    return table


@flow(name="train-head", flow_run_name="train-head {config.identity}", persist_result=False)
def train_head(config: HeadFlowConfig) -> dict[str, Any]:
    """Train from a snapshot, or reuse a head trained on these very cells with these settings.

    A head of other cells or settings is kept beside, under the time.

    Raises:
        NothingToDo: the identity has no clip with frames, parsing and pose.
        HeadDataError: too few usable frames.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    clip_ids = head_clips(snapshot, config.dataset, config.identity, config.names)
    settings = configured(HeadConfig, head_settings(config.preset), config.settings, "head")
    key = {
        "cells": cells_key(snapshot, config.dataset, clip_ids, head_features(config.names)),
        "planes": planes_key(snapshot, config.dataset, config.names.expression),
        "settings": settings.what(),
    }
    data: HeadData | None = None
    reused = reuse.is_finished(config.out, key)
    if not reused:
        reuse.start(config.out, key, keep=True)
        data = head_data(snapshot, config.dataset, clip_ids, config.names)
        provenance = {"snapshot": snapshot.id, "identity": config.identity, **key}
        call(train, data, settings, config.out, provenance)
        reuse.finish(config.out, key)
    scores: dict[str, Any] = {}
    if config.score:
        data = data or head_data(snapshot, config.dataset, clip_ids, config.names)
        scores = call(score, config.out, data, config.score)
        note_table("head-score", [scores])
    facts = json.loads((config.out / "head.json").read_text(encoding="utf-8"))["facts"]
    return {
        "identity": config.identity,
        "clips": clip_ids,
        "reused": reused,
        "notes": facts.get("notes", []),
        "score": scores,
        "snapshot": snapshot.id,
    }

"""Flow `train-audio-expression`.

Cached features of many clips to a network that predicts expression.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import AudioExpressionFlowConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.fit_hyperplanes import planes_key, read_planes
from flows.orchestra import call, note_table
from flows.presets import configured, network_settings
from flows.progress import step
from flows.reading import cells_key, clips_with
from flows.store_features import named
from flows.systems import NETWORK
from models import (
    SpeechFeatures,
    SplitKey,
    TrainConfig,
    TrainingData,
    assign_splits,
    read_steps,
)
from models.data import Split
from models.pack_data import PackFeatures, training_data_of
from pipeline.hyperplanes import POOLED, HyperplaneSet
from store import Cache, Snapshot, pack


def splits_of(snapshot: Snapshot, dataset: str, clip_ids: list[str]) -> dict[str, Split]:
    """Part of every clip; one rule for the network, the head and the evaluation."""
    rows = snapshot.clips(dataset).loc[clip_ids]
    return assign_splits(
        [
            SplitKey(str(r.clip_id), r.identity, r.emotion, r.sentence or None, r.split or None)
            for r in rows.itertuples()
        ]
    )


def network_clips(snapshot: Snapshot, dataset: str, names: FeatureNames) -> list[str]:
    """Clips with sound and a face, of identities with whitening: what the network sees of a store.

    Splits are made among these, whoever asks: a split depends on the clips it is made of.
    """
    needed = (names.audio, names.emotion, names.expression)
    planes = read_planes(snapshot, dataset, names.expression)
    who = snapshot.clips(dataset).identity
    return [c for c in clips_with(snapshot, dataset, needed) if who[c] in planes]


def speech_cells(
    snapshot: Snapshot, dataset: str, clip_id: str, names: FeatureNames
) -> SpeechFeatures:
    """Speech features of one clip; a clip without words is silent text, not an error."""
    audio = read_steps(snapshot.read(dataset, names.audio, clip_id))
    emotion = read_steps(snapshot.read(dataset, names.emotion, clip_id))
    if snapshot.state(dataset, clip_id, names.text) == "valid":
        tokens = snapshot.tokens(dataset, names.text, clip_id)
        index = snapshot.read(dataset, names.text, clip_id)
    else:
        tokens = np.zeros((0, token_width(snapshot, dataset, names.text)), np.float32)
        index = np.full(len(audio), -1, np.int32)
    return SpeechFeatures(audio, emotion, tokens, index)


def token_width(snapshot: Snapshot, dataset: str, text: str) -> int:
    """Channels of a token, by the store's schema.

    Raises:
        NothingToDo: the dataset has no such token table.
    """
    schema = snapshot.features(dataset).get(text)
    if schema is None or not schema.token_dim:
        raise NothingToDo(
            f"{dataset!r} has no token table {text!r}; run `emohead preprocess` with a text encoder"
        )
    return schema.token_dim


def training_data(
    snapshot: Snapshot, dataset: str, names: FeatureNames, packs: Path
) -> TrainingData:
    """All clips with sound and a face, read from packs in the folder `packs`.

    Packs of other snapshots that lie in the folder are removed.

    Raises:
        NothingToDo: there is none.
    """
    needed = (names.audio, names.emotion, names.expression)
    planes = read_planes(snapshot, dataset, names.expression)
    table = snapshot.clips(dataset)
    clip_ids = network_clips(snapshot, dataset, names)
    if not clip_ids:
        silent = Counter(
            why
            for clip_id in table.index
            for feature, why in snapshot.rejected(dataset, clip_id).items()
            if feature in needed
        )
        reasons = "; ".join(f"{why} ({n} cells)" for why, n in silent.most_common(3))
        raise NothingToDo(
            f"no clip has both sound and a face ({reasons or 'the cells are absent'}); add clips "
            "with speech"
        )
    text_width = token_width(snapshot, dataset, names.text)
    seen = set(clips_with(snapshot, dataset, (names.mouth,)))
    mouth = names.mouth if seen.issuperset(clip_ids) else None
    heard = set(clips_with(snapshot, dataset, (names.text,)))
    said = [clip_id for clip_id in clip_ids if clip_id in heard]
    cells = pack(snapshot, dataset, (*needed, mouth) if mouth else needed, packs, clip_ids)
    words = pack(snapshot, dataset, (names.text,), packs, said) if said else None
    kept = {cells.folder.name} | ({words.folder.name} if words else set())
    for old in packs.glob(f"{dataset}-*"):
        if old.name not in kept:
            shutil.rmtree(old, ignore_errors=True)
    provenance = {
        "snapshot": snapshot.id,
        "dataset": dataset,
        "features": names.model_dump(),
        "cells": cells_key(snapshot, dataset, clip_ids, (*needed, names.text)),
        "fingerprints": fingerprints(snapshot, dataset, clip_ids, (*needed, names.text)),
        "hyperplanes": planes_key(snapshot, dataset, names.expression),
    }
    return training_data_of(
        cells,
        words,
        PackFeatures(names.audio, names.emotion, names.expression, names.text, mouth),
        planes,
        splits_of(snapshot, dataset, clip_ids),
        {c: known_tag(planes, table.identity[c], table.emotion[c]) for c in clip_ids},
        text_width,
        provenance,
    )


def fingerprints(
    snapshot: Snapshot, dataset: str, clip_ids: list[str], features: tuple[str, ...]
) -> dict[str, str]:
    """One hash a feature over the fingerprints of its cells."""
    return {name: cells_key(snapshot, dataset, clip_ids, (name,)) for name in features}


def known_tag(planes: Mapping[str, HyperplaneSet], identity: str, tag: str) -> str:
    """The tag, or "" where too few clips carry it for a hyperplane: such a clip is not refined."""
    scopes = [planes[scope] for scope in (identity, POOLED) if scope in planes]
    return tag if any(tag in scope.planes for scope in scopes) else ""


def unused_labels(
    planes: Mapping[str, HyperplaneSet], labels: Iterable[tuple[str, str]]
) -> list[str]:
    """Sentences about labels that `known_tag` takes away; `labels`: identity and tag of clips."""
    lost = Counter((who, tag) for who, tag in labels if tag and not known_tag(planes, who, tag))
    sets = {who: (planes[POOLED] if POOLED in planes else planes[who]) for who, _ in lost}
    return [
        f"{count} clips of {who} are labelled {tag} and count as unlabelled: there is no "
        f"hyperplane for it ({sets[who].rejected.get(tag, 'run `emohead fit-hyperplanes`')})"
        for (who, tag), count in sorted(lost.items())
    ]


def packs_of(out: Path) -> Path:
    """Folder of the packs a network is trained from, beside the network's."""
    return out.with_name(f"{out.name}-packs")


@task(name="train network", cache_policy=NO_CACHE, persist_result=False)
def train(data: TrainingData, config: TrainConfig, out: Path) -> Any:
    """The loop itself; goes on where a killed run stopped."""
    from models import train_audio_expression as fit

    with step("train audio-expression network", total=config.steps, unit="steps") as bar:

        def seen(done: int, total: int, metrics: dict[str, float]) -> None:
            bar.update(done, note=f"loss {metrics['loss']:.3f}")

        return fit(data, config, out, seen)


@flow(
    name="train-audio-expression",
    flow_run_name="train-audio-expression {config.dataset}",
    persist_result=False,
)
def train_audio_expression(config: AudioExpressionFlowConfig) -> dict[str, Any]:
    """Train from a snapshot, or reuse a network trained on these very cells with these settings.

    A network of other cells or settings is kept beside, under the time.

    Raises:
        NothingToDo: no clip has both sound and a face.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    data = training_data(snapshot, config.dataset, config.names, packs_of(config.out))
    chosen = network_settings(config.preset) | NETWORK[config.system]
    settings = configured(TrainConfig, chosen, config.settings, "network")
    key = {
        "cells": data.provenance["cells"],
        "planes": planes_key(snapshot, config.dataset, config.names.expression),
        "settings": settings.to_dict(),
    }
    reused = reuse.is_finished(config.out, key)
    if not reused:
        reuse.start(config.out, key, keep=True)
        call(train, data, settings, config.out)
        reuse.finish(config.out, key)
    summary = evaluate(data, config.out)
    table = snapshot.clips(config.dataset)
    lost = unused_labels(data.planes, [(c.identity, table.emotion[c.clip_id]) for c in data.clips])
    summary["notes"] = [*summary["notes"], *lost]
    note_table("audio-expression", summary["table"])
    return {**summary, "reused": reused, "snapshot": snapshot.id}


def evaluate(data: TrainingData, out: Path) -> dict[str, Any]:
    """Held-out RMSE of the best checkpoint beside two baselines."""
    from models import load
    from models.compare import compare

    checkpoint = load(out)
    rows = compare(checkpoint, data)
    return {
        "table": rows,
        "history": checkpoint.state["history"],
        "notes": checkpoint.state["notes"],
    }

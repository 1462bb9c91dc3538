"""Flow `fit-hyperplanes`.

The emotion directions of every identity, and pooled, from the valid expression cells.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import HyperplaneFlowConfig
from flows.errors import NothingToDo
from flows.orchestra import call, note_table
from flows.progress import step
from flows.reading import cells_key, clips_with, identity_keys
from flows.store_features import expression_of
from pipeline.hyperplane_config import HyperplaneConfig
from pipeline.hyperplane_record import from_record, to_record
from pipeline.hyperplanes import POOLED, HyperplaneSet, fit_scopes
from pipeline.settings import configured
from store import Cache, Snapshot

MAR = "face/mar"

OWN = "own_cells"
"""Attribute of an identity's planes: key of that identity's cells, labels and the settings."""
SCOPES = "scopes"
"""Attribute of the pooled planes: identity -> key of the planes that go with them."""


@task(name="fit", cache_policy=NO_CACHE, persist_result=False)
def fit(
    snapshot: Snapshot,
    dataset: str,
    expression: str,
    clip_ids: list[str],
    names: tuple[str, ...],
    known: dict[str, HyperplaneSet],
    config: HyperplaneConfig,
) -> tuple[dict[str, HyperplaneSet], dict[str, str]]:
    """Read the cells and fit; refused identities come with their reasons. What is `known` stays."""
    clips = snapshot.clips(dataset)
    alpha = [snapshot.read(dataset, expression, clip_id) for clip_id in clip_ids]
    mar = [snapshot.read(dataset, MAR, clip_id) for clip_id in clip_ids]
    lengths = [len(values) for values in alpha]

    def per_frame(column: str) -> list[str]:
        return list(np.repeat([clips[column][clip_id] for clip_id in clip_ids], lengths))

    return fit_scopes(
        np.concatenate(alpha),
        np.concatenate(mar),
        per_frame("emotion"),
        list(np.repeat(clip_ids, lengths)),
        per_frame("identity"),
        config,
        feature=expression,
        names=names,
        known=known,
    )


@flow(
    name="fit-hyperplanes", flow_run_name="fit-hyperplanes {config.dataset}", persist_result=False
)
def fit_hyperplanes(config: HyperplaneFlowConfig) -> dict[str, Any]:
    """Fit and store the planes, unless the ones there were fitted on these very cells, and so.

    Only identities of which a clip came, went or changed are fitted anew, and the pooled planes;
    with other settings all are.

    Raises:
        NothingToDo: no clip has both expression and mouth cells.
    """
    with step("fit hyperplanes"):
        cache = Cache.open(config.store)
        snapshot = cache.snapshot()
        expression = expression_of(cache, config.dataset, config.expression)
        clip_ids = clips_with(snapshot, config.dataset, (expression, MAR))
        if not clip_ids:
            raise NothingToDo(
                f"no clip of {config.dataset!r} has valid {expression} and {MAR} cells; run "
                "`emohead preprocess` on videos that show a face"
            )
        fitting = configured(HyperplaneConfig, config.settings, "hyperplanes")
        settings = asdict(fitting)
        features = (expression, MAR)
        key = cells_key(snapshot, config.dataset, clip_ids, features, config=settings)
        stored = stored_planes(snapshot, config.dataset, expression)
        if POOLED in stored and stored[POOLED][1].get("cells") == key:
            sets = read_planes(snapshot, config.dataset, expression)
            refused = stored[POOLED][1].get("refused", {})
            return _summary(sets, refused, snapshot.id, reused=True)
        names = expression_names(expression)
        own = identity_keys(snapshot, config.dataset, clip_ids, features, config=settings)
        known = {
            scope: from_record(arrays, attributes)
            for scope, (arrays, attributes) in stored.items()
            if scope in own and attributes.get(OWN) == own[scope]
        }
        sets, refused = call(
            fit, snapshot, config.dataset, expression, clip_ids, names, known, fitting
        )
        metadata = {"flow": "fit-hyperplanes", "cells": key}
        identity = snapshot.clips(config.dataset).identity
        message = f"hyperplanes of {len(sets) - len(known)} scopes"
        origin = {"cells": key, "refused": refused}
        with cache.write(config.dataset, {}, message, metadata) as session:
            for scope, planes in sets.items():
                if scope in known:
                    continue
                arrays, attributes = to_record(planes)
                if scope == POOLED:
                    attributes[SCOPES] = {name: own[name] for name in sets if name in own}
                else:
                    attributes[OWN] = own[scope]
                session.put_hyperplanes(
                    expression,
                    scope,
                    arrays,
                    attributes | origin,
                    clips=[c for c in clip_ids if scope in (POOLED, identity[c])],
                    reads=(expression, MAR),
                )
        if session.superseded_fits:
            # Another writer changed what these planes were made from: fit what is there now.
            return fit_hyperplanes.fn(config)
        summary = _summary(sets, refused, session.snapshot_id or snapshot.id, reused=False)
        summary["kept"] = sorted(known)
    note_table("hyperplanes", summary["planes"])
    return summary


def stored_planes(
    snapshot: Snapshot, dataset: str, expression: str
) -> dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]]:
    """Scope → (arrays, attributes) of the planes in a snapshot."""
    found = {}
    for scope in snapshot.hyperplane_scopes(dataset, expression):
        record = snapshot.hyperplanes(dataset, expression, scope)
        if record is not None:
            attributes = record.pop("attrs")
            found[scope] = (record, attributes)
    return found


def read_planes(snapshot: Snapshot, dataset: str, expression: str) -> dict[str, HyperplaneSet]:
    """Planes and whitening of every scope.

    Raises:
        NothingToDo: none were fitted.
    """
    stored = stored_planes(snapshot, dataset, expression)
    if POOLED not in stored:
        raise NothingToDo(
            f"snapshot {snapshot.id} holds no hyperplanes on {expression}; "
            "run the fit-hyperplanes flow first"
        )
    # The pooled fit names the scopes it goes with; those of an earlier one are of people who have
    # left the dataset. (Stores of before say it by the cells that all of them were fitted on.)
    whole = stored[POOLED][1]
    together = whole.get(SCOPES)
    return {
        scope: from_record(arrays, attributes)
        for scope, (arrays, attributes) in stored.items()
        if scope == POOLED
        or (
            attributes.get("cells") == whole.get("cells")
            if together is None
            else attributes.get(OWN) == together.get(scope, "")
        )
    }


def planes_key(snapshot: Snapshot, dataset: str, expression: str) -> str:
    """Says which fit the planes come from: networks and heads live in its units."""
    record = snapshot.hyperplanes(dataset, expression, POOLED)
    return "" if record is None else str(record["attrs"].get("cells", ""))


def expression_names(expression: str) -> tuple[str, ...]:
    """Names of the coefficients of an expression feature."""
    from pipeline.face.semantic import NAMES

    return NAMES if expression == "expression/semantic" else ()


def _summary(
    sets: dict[str, HyperplaneSet], refused: dict[str, str], snapshot: str, *, reused: bool
) -> dict[str, Any]:
    planes = [
        {
            "scope": scope,
            "emotion": tag,
            "held-out accuracy": plane.accuracy,
            "how": plane.accuracy_note,
            "training accuracy": plane.train_accuracy,
            "clips": plane.clips,
            "frames": plane.frames,
        }
        for scope, group in sets.items()
        for tag, plane in group.planes.items()
    ]
    reasons = [
        {"scope": scope, "emotion": tag, "reason": why}
        for scope, group in sets.items()
        for tag, why in group.rejected.items()
    ]
    reasons += [{"scope": scope, "emotion": "all", "reason": why} for scope, why in refused.items()]
    return {"planes": planes, "rejected": reasons, "snapshot": snapshot, "reused": reused}

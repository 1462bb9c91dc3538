"""Hyperplanes as arrays and JSON-able attributes, the form in which a store keeps them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.hyperplanes import Hyperplane, HyperplaneConfig, HyperplaneSet
from pipeline.whitening import Whitening


def to_record(planes: HyperplaneSet) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON-able attributes of a set, as the store keeps them."""
    tags = sorted(planes.planes)
    each = [planes.planes[tag] for tag in tags]
    k = planes.whitening.k
    groups = planes.config.groups
    arrays = {
        "w": np.stack([p.w for p in each]) if each else np.zeros((0, k)),
        "b": np.array([p.b for p in each]),
        "mean": planes.whitening.mean,
        "std": planes.whitening.std,
        "bin_edges": each[0].bin_edges if each else np.zeros(groups + 1),
        "bin_counts": np.stack([p.bin_counts for p in each])
        if each
        else np.zeros((0, groups), dtype=np.int64),
    }
    plain = ("accuracy", "accuracy_note", "train_accuracy", "margin", "rest_margin")
    facts = {p.tag: {n: getattr(p, n) for n in (*plain, "clips", "frames")} for p in each}
    attributes = {
        "scope": planes.scope,
        "feature": planes.feature,
        "names": list(planes.names),
        "tags": tags,
        "planes": facts,
        "rejected": dict(planes.rejected),
        "config": asdict(planes.config),
    }
    return arrays, attributes


def from_record(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> HyperplaneSet:
    """Undo `to_record`."""
    planes = {
        tag: Hyperplane(
            tag=tag,
            w=np.asarray(arrays["w"][i], dtype=np.float64),
            b=float(arrays["b"][i]),
            bin_edges=np.asarray(arrays["bin_edges"], dtype=np.float64),
            bin_counts=np.asarray(arrays["bin_counts"][i], dtype=np.int64),
            **attributes["planes"][tag],
        )
        for i, tag in enumerate(attributes["tags"])
    }
    return HyperplaneSet(
        scope=attributes["scope"],
        feature=attributes["feature"],
        names=tuple(attributes["names"]),
        whitening=Whitening(
            np.asarray(arrays["mean"], dtype=np.float64),
            np.asarray(arrays["std"], dtype=np.float64),
        ),
        planes=planes,
        rejected=dict(attributes["rejected"]),
        config=HyperplaneConfig(**attributes["config"]),
    )

"""Rows of EmoHead's tables IV and VI that concern the audio-expression network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.config import MOEE, RECURRENT
from models.errors import ModelConfigError


@dataclass(frozen=True)
class Row:
    """One setting, and what the paper measured with it."""

    group: str
    name: str
    changes: Mapping[str, Any]
    """`TrainConfig` fields that differ from the group's reference."""
    paper: Mapping[str, float] = field(default_factory=dict)
    """Figures of the paper, by the name of the measure; MEAD where both corpora are given."""
    hidden: float = 0.0
    """Share of the training clips whose emotion is hidden (`models.emotion_free`)."""


LOWER = ("RMSE", "RMSE CREMA-D", "M-LMD")
"""Measures of the paper that are better when lower; the others when higher."""


def _iv(lips: float, sync: float, recognised: float) -> dict[str, float]:
    return {"M-LMD": lips, "Sync": sync, "ER": recognised}


def _vi(mead: float, crema: float) -> dict[str, float]:
    return {"RMSE": mead, "RMSE CREMA-D": crema}


def _moee(fid: float, akd: float) -> dict[str, float]:
    return {"FID": fid, "AKD": akd}


def _free(system: str, settings: Mapping[str, Any]) -> tuple[Row, ...]:
    """What clips without a label are worth to a system: three quarters of the labels hidden."""
    group, alone = "emotion-free", dict(settings) | {"emotion_free": False}
    return (
        Row(group, f"{system}, all labels", settings),
        Row(group, f"{system}, 1/4 of the labels, all clips", settings, hidden=HIDDEN),
        Row(group, f"{system}, 1/4 of the labels, labelled clips alone", alone, hidden=HIDDEN),
    )


HIDDEN = 0.75
"""Of the labels, in the rows of `emotion-free` (ours)."""

OURS_IV = _iv(1.031, 8.08, 73.28)

GROUPS: dict[str, tuple[Row, ...]] = {
    "alignment": (
        Row("alignment", "with alignment", {}, OURS_IV),
        Row("alignment", "without", {"architecture": "transformer"}, _iv(1.149, 6.19, 63.44)),
    ),
    "refinement": (
        Row("refinement", "with refinement", {}, OURS_IV),
        Row("refinement", "without", {"refinement": False}, _iv(1.291, 7.25, 61.29)),
    ),
    "d": (
        Row("d", "d = 512", {"d": 512, "d_h": 512}, OURS_IV),
        Row("d", "d = 256", {"d": 256, "d_h": 256}, _iv(1.092, 6.58, 66.26)),
        Row("d", "d = 768", {"d": 768, "d_h": 768}, _iv(1.087, 7.05, 72.57)),
        Row("d", "d = 1024", {"d": 1024, "d_h": 1024}, _iv(1.093, 7.96, 70.61)),
    ),
    "n": (
        Row("n", "n = 5", {"n": 5}, OURS_IV),
        Row("n", "n = 3", {"n": 3}, _iv(1.072, 6.77, 69.31)),
        Row("n", "n = 8", {"n": 8}, _iv(1.064, 7.58, 72.17)),
        Row("n", "n = 12", {"n": 12}, _iv(1.105, 7.96, 74.42)),
    ),
    "rho": (
        Row("rho", "ρ = 0.5", {"rho": 0.5}, _vi(0.27, 0.16)),
        Row("rho", "ρ = 0.2", {"rho": 0.2}, _vi(0.35, 0.22)),
        Row("rho", "ρ = 0.7", {"rho": 0.7}, _vi(0.29, 0.25)),
        Row("rho", "ρ = 1", {"rho": 1.0}, _vi(0.31, 0.27)),
    ),
    "reg": (
        Row("reg", "with eq. 13's second term", {"rho": 0.5}, _vi(0.27, 0.16)),
        Row("reg", "without", {"rho": 0.0}, _vi(0.45, 0.39)),
    ),
    "experts": (
        Row("experts", "MoEE", MOEE, _moee(39.62, 4.028)),
        Row("experts", "no experts", MOEE | {"experts": False, "noisy": 0.0}, _moee(58.41, 14.96)),
        Row("experts", "one cross-attention instead", MOEE | {"plain": True}),
        Row("experts", "no global gate", MOEE | {"global_gate": False}, _moee(46.33, 10.65)),
        Row("experts", "no noisy sampling", MOEE | {"noisy": 0.0}, _moee(51.79, 4.59)),
        Row("experts", "noisy, mouth not masked", MOEE | {"masked": False}),
    ),
    "generator": (
        Row("generator", "EMOdiffhead's LSTM", RECURRENT),
        Row("generator", "no discriminators", RECURRENT | {"adversarial": 0.0}),
        Row("generator", "no noisy sampling", RECURRENT | {"noisy": 0.0}),
    ),
    "emotion-free": (*_free("EMOdiffhead's LSTM", RECURRENT), *_free("MoEE", MOEE)),
}
"""By group; the first row of each is the reference the others are held against: what the paper
chose. Window terms are n + 1. `experts` are MoEE's ablations, with the paper's FID and AKD of whole
videos, for which nothing of ours stands; EMOdiffhead's figures are not known to us.
Without the experts a label has no way in, and noisy windows would teach noise: that row has none;
`one cross-attention instead` leaves the way in and takes the mixture alone.
`emotion-free` is EMOdiffhead's claim that labelled and unlabelled clips together are better: both
its networks here, all labels being the line above."""


def rows_of(groups: Sequence[str]) -> list[Row]:
    """Rows of the groups asked for.

    Raises:
        ModelConfigError: an unknown group.
    """
    unknown = [name for name in groups if name not in GROUPS]
    if unknown or not groups:
        raise ModelConfigError(
            f"ablation rows {', '.join(unknown) or 'none'} are unknown; choose of "
            f"{', '.join(GROUPS)}"
        )
    return [row for name in groups for row in GROUPS[name]]

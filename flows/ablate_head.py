"""Flow `ablate-head`: rows of table VI for the losses of the rendering module, one head a row."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import Field

from flows import reuse
from flows.config_base import FlowConfig
from flows.evaluate import markdown
from flows.features import FeatureNames
from flows.orchestra import call, note_text
from flows.presets import HeadPreset, configured, head_settings
from flows.reading import cells_key
from flows.store_features import named
from flows.train_head import head_clips, head_data, head_features, scores_of, train
from render.head_config import HeadConfig, RefineConfig
from render.refine import Refiner
from store import Cache

ROWS: dict[str, tuple[float, float, str]] = {
    "photo": (0.0, 0.0, ""),
    "cord": (1e-3, 0.0, "1.176 / 1.099"),
    "shape": (0.0, 1e-9, "1.104 / 1.051"),
    "both": (1e-3, 1e-9, "1.031 / 0.981"),
    "cord x 10": (1e-2, 1e-9, "1.158 / 1.094"),
    "shape x 10": (1e-3, 1e-8, "1.004 / 0.853"),
    "both x 5": (5e-3, 5e-9, "1.085 / 1.098"),
}
"""λ_cord, λ_shape, and the paper's M-LMD / F-LMD on MEAD. Which of its two one-loss rows is which
the paper's text has lost; the emotion scores say so."""


CURE = re.compile(r": get it from .*?(?=; L_|$)")
FIGURES = ("psnr", "ssim", "m_lmd", "f_lmd", "expression_ratio")
"""What is shown of a head (`flows.train_head.scores_of`)."""


class HeadAblationConfig(FlowConfig):
    """Whose head, which rows, how long."""

    store: str = Field(description="Folder or URL of the icechunk store")
    dataset: str = Field(default="clips", description="Group of the store")
    identity: str = Field(description="Whose head")
    out: Path = Field(description="Folder of the heads and the table")
    rows: tuple[str, ...] = Field(default=tuple(ROWS), description="Rows of table VI")
    preset: HeadPreset = Field(default="quick", description="Length of each training")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="HeadConfig fields that differ from the preset"
    )
    frames: int = Field(default=12, ge=2, description="Held-out frames scored")
    profile: str | None = Field(default=None, description="Profile whose features are read")
    names: FeatureNames = Field(
        default_factory=lambda: FeatureNames(), description="Cells to read; unset: the profile's"
    )


@flow(name="ablate-head", flow_run_name="ablate-head {config.identity}", persist_result=False)
def ablate_head(config: HeadAblationConfig) -> dict[str, str]:
    """Train what the folder does not hold yet, score all, write `losses.md` and `losses.json`.

    A row that was trained from other cells or with other settings is trained anew. A row whose
    loss has no weights on this machine is not trained, and says what is missing.

    Raises:
        NothingToDo: the identity has no clip with frames, parsing and pose.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot("main")
    config = named(config, cache, snapshot)
    clips = head_clips(snapshot, config.dataset, config.identity, config.names)
    data = head_data(snapshot, config.dataset, clips, config.names)
    base = configured(HeadConfig, head_settings(config.preset), config.settings, "head")
    refine = base.refine or RefineConfig()
    cells = cells_key(snapshot, config.dataset, clips, head_features(config.names))
    table: list[dict[str, Any]] = []
    lacking: set[str] = set()
    for name in config.rows:
        cord, shape, paper = ROWS[name]
        row: dict[str, Any] = {"losses": name, "λ_cord": cord, "λ_shape": shape}
        chosen = replace(base, refine=replace(refine, cord=cord, shape=shape))
        if name == "photo":
            chosen = replace(base, refine=None)
        row["paper: M-LMD / F-LMD"] = paper
        if missing := Refiner.missing(chosen, data):
            lacking.update(missing)
            table.append(row | {"not measured": "; ".join(missing)})
            continue
        folder = config.out / name.replace(" ", "-")
        key = {"cells": cells, "settings": chosen.what()}
        if not reuse.is_finished(folder, key):
            reuse.start(folder, key, keep=True)
            call(train, data, chosen, folder, {"snapshot": snapshot.id, "row": name, **key})
            reuse.finish(folder, key)
        scores = scores_of(folder, data, config.frames)
        kept = (*FIGURES, "pictures", "expression")
        table.append(row | {what: scores[what] for what in kept if what in scores})
    config.out.mkdir(parents=True, exist_ok=True)
    lines = [
        markdown([shown(row) for row in table]),
        *(f"\n{reason}" for reason in sorted(lacking)),
    ]
    text = "\n".join(lines)
    (config.out / "losses.md").write_text(text + "\n", encoding="utf-8")
    (config.out / "losses.json").write_text(json.dumps(table, indent=1, default=str))
    note_text("ablation-losses", text)
    return {kind: str(config.out / f"losses.{kind}") for kind in ("md", "json")} | {"text": text}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it: weights as the paper writes them, no figure without its reason.

    >>> shown({"losses": "cord", "λ_cord": 1e-3, "λ_shape": 0.0, "not measured": "no weights"})[
    ...     "λ_cord"
    ... ]
    '1e-3'
    """
    out = {"losses": row["losses"]}
    out |= {name: power(row[name]) for name in ("λ_cord", "λ_shape")}
    out |= {name: row.get(name, "not measured") for name in FIGURES}
    out["paper: M-LMD / F-LMD"] = row.get("paper: M-LMD / F-LMD") or "no such row"
    # How to get weights is said once, under the table.
    parts = [row[name] for name in ("pictures", "expression") if name in row]
    if whole := row.get("not measured"):
        # How to get weights is said once, under the table.
        parts.append(f"not measured: {CURE.sub('', whole)}")
    out["note"] = "; ".join(parts)
    return out


def power(value: float) -> str:
    """A weight by its power of ten.

    >>> [power(v) for v in (0.0, 1e-9, 5e-3)]
    ['0', '1e-9', '5e-3']
    """
    if not value:
        return "0"
    digits, exponent = f"{value:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"

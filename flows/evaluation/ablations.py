"""What `emohead ablate` and `emohead ablate --head` found, beside the paper's tables IV and VI."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from flows.errors import NothingToDo
from flows.evaluation.quoted import Quoted

Rows = list[dict[str, Any]]
Key = tuple[str, str]
"""Group and row of `models.ablation_rows`."""

NETWORK = "ablation.csv"
HEAD = "losses.json"
LIKELY = ("ablation", "losses")
"""Folders of a run's output that are looked into unasked."""
SCORES = {"psnr": "PSNR", "ssim": "SSIM", "m_lmd": "M-LMD", "f_lmd": "F-LMD"}
"""What is shown of a head."""

PLACES: dict[str, Key] = {
    "without audio expression alignment": ("alignment", "without"),
    "without hyperplane refinement": ("refinement", "without"),
    "EmoHead (3DDFA, d = 512, n = 5)": ("alignment", "with alignment"),
    **{f"d = {d}": ("d", f"d = {d}") for d in (256, 768, 1024)},
    **{f"n = {n}": ("n", f"n = {n}") for n in (3, 8, 12)},
    "L_reg": ("reg", "without"),
    "L_reg with other identities": ("reg", "with eq. 13's second term"),
    **{f"rho = {rho}": ("rho", f"ρ = {rho}") for rho in ("0.2", "0.5", "0.7", "1")},
    "L_cord and L_shape, first row (ticks lost)": ("losses", "cord"),
    "L_cord and L_shape, second row (ticks lost)": ("losses", "shape"),
    "L_cord and L_shape": ("losses", "both"),
    "weights 1, 1e-2, 1e-9": ("losses", "cord x 10"),
    "weights 1, 1e-3, 1e-8": ("losses", "shape x 10"),
    "weights 1, 5e-3, 5e-9": ("losses", "both x 5"),
    "weights 1, 1e-3, 1e-9": ("losses", "both"),
}
"""The paper's row → ours. Which of its two rows of one loss is which, the emotion scores say."""

MEANING = (
    "Beside the quoted figures, under 'here', what `emohead ablate` measured on this run's store "
    "(RMSE of whitened coefficients; correlation of the mouth's opening; share of frames on the "
    "asked emotion's side of its hyperplane; the mouth's error then; least Spearman correlation of "
    "a label's intensity and the margin; mean ± deviation over seeds) and `emohead ablate "
    "--head` (held-out frames rendered from their own coefficients): the same choices, measured "
    "otherwise, with the sizes and steps of that ablation's preset."
)


@dataclass(frozen=True)
class Found:
    """Rows that were measured."""

    cells: dict[Key, dict[str, str]] = field(default_factory=dict)
    """Columns of a row, as text."""
    lacking: dict[str, str] = field(default_factory=dict)
    """Kind of table → why there is nothing of it."""


def ablations_of(named: Sequence[Path], out: Path, store: str) -> Found:
    """Read the folders a user names; without any, those that lie in `out`.

    Raises:
        NothingToDo: a folder that was named holds no result.
    """
    folders = named or [out / name for name in LIKELY if (out / name).is_dir()]
    cells: dict[Key, dict[str, str]] = {}
    for folder in folders:
        network, head = folder / NETWORK, folder / HEAD
        if named and not (network.is_file() or head.is_file()):
            raise NothingToDo(
                f"{folder} holds neither {NETWORK} nor {HEAD}; `emohead ablate {store} --out "
                f"{folder}` writes the one, with --head IDENTITY the other"
            )
        if network.is_file():
            cells |= network_cells(pd.read_csv(network))
        if head.is_file():
            cells |= head_cells(json.loads(head.read_text("utf-8")))
    lacking = {}
    if not any(group != "losses" for group, _ in cells):
        lacking["network"] = f"run `emohead ablate {store} --out {out / LIKELY[0]}`"
    if not any(group == "losses" for group, _ in cells):
        lacking["losses"] = f"run `emohead ablate {store} --head IDENTITY --out {out / LIKELY[1]}`"
    return Found(cells, lacking)


def network_cells(table: pd.DataFrame) -> dict[Key, dict[str, str]]:
    """A line a row and seed (`models.ablation_tables`) → mean ± deviation over seeds."""
    metrics = [name for name in table.columns if name not in ("group", "row", "seed", "steps")]
    found: dict[Key, dict[str, str]] = {}
    for key, lines in table.groupby(["group", "row"], sort=False):
        group, row = cast(tuple[str, str], key)
        told = {f"here: {name}": _spread(lines[name].to_numpy(np.float64)) for name in metrics}
        steps = "/".join(f"{count:,}" for count in sorted(set(lines["steps"])))
        told["note"] = f"{len(lines)} seed{'s' * (len(lines) > 1)}, {steps} steps"
        found[group, row] = told
    return found


def head_cells(table: Iterable[dict[str, Any]]) -> dict[Key, dict[str, str]]:
    """A record a row of losses (`flows.ablate_head`) → its scores, or why there are none."""
    found: dict[Key, dict[str, str]] = {}
    for row in table:
        told = {
            f"here: {shown}": f"{row[key]:.3f}" for key, shown in SCORES.items() if _known(row, key)
        }
        why = row.get("not measured")
        told["note"] = f"not measured: {why.split(': get ')[0]}" if why else "one head"
        found["losses", str(row["losses"])] = told
    return found


def beside_ablations(table: Sequence[Quoted], found: Found) -> Rows:
    """The paper's rows as quoted, each with what was measured here of the same choice.

    Rows of ours for which the paper has none stand below: those of heads under the table of
    losses, the network's under the other.
    """
    of_losses = any(PLACES.get(row.method, ("", ""))[0] == "losses" for row in table)
    spare = [
        key
        for key in found.cells
        if key not in PLACES.values() and (key[0] == "losses") == of_losses
    ]
    keys = [*filter(None, (PLACES.get(row.method) for row in table)), *spare]
    mine = [name for key in keys for name in found.cells.get(key, ()) if name != "note"]
    columns = [*dict.fromkeys(mine), "note"]
    quoted = list(dict.fromkeys(column for row in table for column in row.figures))
    rows: Rows = []
    for row in table:
        told = {f"{column} (quoted)": row.figures.get(column, "–") for column in quoted}
        rows.append({"setting": row.method, **told, **_here(row.method, found, columns)})
    for key in spare:
        told = dict.fromkeys((f"{column} (quoted)" for column in quoted), "–")
        own = {name: found.cells[key].get(name, "–") for name in columns}
        rows.append({"setting": f"{': '.join(key)} (here only)", **told, **own})
    return rows


def _here(method: str, found: Found, columns: Sequence[str]) -> dict[str, str]:
    key = PLACES.get(method)
    if key is None:
        why = "not measured: no such row here"
    elif key in found.cells:
        return {name: found.cells[key].get(name, "–") for name in columns}
    else:
        kind = "losses" if key[0] == "losses" else "network"
        why = f"not measured: {found.lacking.get(kind, f'row {key[0]!r} was not asked for')}"
    return dict.fromkeys(columns, "–") | {"note": why}


def _spread(values: np.ndarray) -> str:
    """``0.742 ± 0.021``."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "not measured"
    shown = f"{known.mean():.3f}"
    return f"{shown} ± {known.std(ddof=1):.3f}" if len(known) > 1 else shown


def _known(row: dict[str, Any], key: str) -> bool:
    return isinstance(row.get(key), int | float) and bool(np.isfinite(row[key]))

"""Marks people gave this run, where a preference study lies beside it."""

import json
from pathlib import Path

PLACE = "preferences"


def marks_of(out: Path) -> dict[str, str] | None:
    """Fidelity, Coherence, Empathy of the first choice of `OUT/preferences/table.json`.

    None without one.
    """
    path = out / PLACE / "table.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text("utf-8"))
    if "marks" not in told:  # written before a study could have more than two choices
        return {aspect.capitalize(): c["a"]["text"] for aspect, c in told["aspects"].items()}
    mine = told["names"][0]
    return {aspect.capitalize(): cells[mine]["text"] for aspect, cells in told["marks"].items()}

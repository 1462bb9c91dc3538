"""Marks people gave this run, where a preference study lies beside it."""

import json
from pathlib import Path

PLACE = "preferences"


def marks_of(out: Path) -> dict[str, str] | None:
    """Fidelity, Coherence, Empathy of side A of `OUT/preferences/table.json`; None without one."""
    path = out / PLACE / "table.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text("utf-8"))["aspects"]
    return {aspect.capitalize(): cell["a"]["text"] for aspect, cell in told.items()}

"""Scores of pairs, kept on disk by what they were made from: a killed run measures none twice."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoder import sha256_of
from render.metrics.judges import Judges
from render.metrics.measured import Measured
from render.metrics.pair import VERSION, PairOptions, PairScore, score_pair

Margins = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Shelved:
    """The folder of finished scores."""

    folder: Path

    def key(self, generated: Path, reference: Path | None, **more: Any) -> str:
        """Hash of the two files' contents, the judges and what else decides a number."""
        told = {
            "generated": sha256_of(generated),
            "reference": sha256_of(reference) if reference else None,
            "version": VERSION,
            **more,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    def find(self, key: str) -> PairScore | None:
        """A score that is whole; None where there is none."""
        path = self.folder / f"{key}.json"
        if not path.is_file():
            return None
        told = json.loads(path.read_text("utf-8"))
        features = {}
        if told["features"]:
            with np.load(path.with_suffix(".npz")) as file:
                features = {name: file[name] for name in file.files}
        return PairScore(
            {k: Measured(**cell) for k, cell in told["generated"].items()},
            {k: Measured(**cell) for k, cell in told["reference"].items()},
            told["facts"],
            features,
            {k: Measured(**cell) for k, cell in told["reduced"].items()},
        )

    def keep(self, key: str, score: PairScore) -> None:
        """Write a score; it appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}.json"
        if score.features:
            draft = self.folder / f".{key}.npz"
            np.savez_compressed(draft, allow_pickle=False, **score.features)
            draft.replace(path.with_suffix(".npz"))
        told = {
            "generated": {k: cell.record() for k, cell in score.generated.items()},
            "reference": {k: cell.record() for k, cell in score.reference.items()},
            "reduced": {k: cell.record() for k, cell in score.reduced.items()},
            "facts": score.facts,
            "features": bool(score.features),
        }
        draft = self.folder / f".{key}.json"
        draft.write_text(json.dumps(told), "utf-8")
        draft.replace(path)


def scored(
    shelf: Shelved,
    generated: Path,
    reference: Path | None,
    judges: Judges,
    emotion: str | None,
    margins: Margins | None,
    planes: str = "",
    options: PairOptions | None = None,
) -> tuple[PairScore, bool]:
    """The score of a pair, measured now or found; and whether it was found.

    Args:
        shelf: where scores lie.
        generated: see `score_pair`; so are the others.
        reference: the true video.
        judges: networks and programs.
        emotion: what it should show.
        margins: distances from the hyperplanes.
        planes: what the hyperplanes are, for the key.
        options: what may be done to files that do not fit.
    """
    options = options or PairOptions()
    key = shelf.key(
        generated,
        reference,
        judges=judges.identity(),
        emotion=emotion,
        planes=planes,
        options=[options.resize, options.trim, options.drawn],
    )
    if (found := shelf.find(key)) is not None:
        return found, True
    score = score_pair(
        generated, reference, judges=judges, options=options, emotion=emotion, margins=margins
    )
    shelf.keep(key, score)
    return score, False

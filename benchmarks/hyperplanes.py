"""Emotion planes on real MEAD clips, held out by time and by person, with and without mouth groups.

`python -m benchmarks.hyperplanes FOLDER [WEIGHTS]`

FOLDER holds MEAD clips of at least two people; WEIGHTS the folder with 3DDFA_V2's
`mb05_120x120.pth` and `param_mean_std_62d_120x120.pkl` (left out: the embedded coefficients alone).
Every figure is the mean over tags of the balanced accuracy of "on the tag's side of its plane"
(chance 0.5). Time: fitted on the first 70 % of each clip, tested on the last 30 %. Person: fitted
on all others, each whitened by own statistics, tested on this one whitened by own statistics.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.hyperplanes import HyperplaneConfig, fit_hyperplanes
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.scan import scan
from pipeline.svm import balanced_accuracy
from pipeline.whitening import fit_whitening

SPLIT = 0.7
SETTINGS: dict[str, Any] = {"class_weight": "balanced", "dual": False, "random_state": 0}
VISUAL = ("video/rgb", "face/landmarks", "face/mar", "expression/semantic")


@dataclass
class Frames:
    """All frames with a face, one row each."""

    x: np.ndarray
    mar: np.ndarray
    tag: np.ndarray
    clip: np.ndarray
    who: np.ndarray
    early: np.ndarray
    """Within the first part of its clip."""

    def take(self, rows: np.ndarray) -> "Frames":
        """Some of them."""
        return Frames(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


Score = Callable[[Frames, Frames], dict[str, tuple[np.ndarray, np.ndarray]]]
"""Fit on some frames; margins on others: tag to (margins, whether the frame has the tag)."""


def shelf_of(weights: Path) -> Any:
    """The network of a folder, on a shelf of its own."""
    from pipeline.weights.shelf import Shelf

    shelf = Shelf(Path(tempfile.mkdtemp()))
    folder = Path(tempfile.mkdtemp())
    for name in ("mb05_120x120.pth", "param_mean_std_62d_120x120.pkl"):
        shutil.copyfile(weights / name, folder / name)
    shelf.add("3ddfa_mb05", folder)
    return shelf


def read(folder: Path, weights: Path | None) -> dict[str, Frames]:
    """Coefficients by kind."""
    profile, columns = load_profile("embedded"), {"semantic 10": [], "3DDFA mb05 10": []}
    rows: dict[str, list[Any]] = {name: [] for name in ("mar", "tag", "clip", "who", "early")}
    shelf = None if weights is None else shelf_of(weights)
    for source in scan(folder, "mead").clips:
        result = process_clip(source, VISUAL, profile)
        if not result.frames or source.path.suffix != ".mp4" or "1080p" in source.path.name:
            continue
        arrays, count = result.arrays, result.frames
        columns["semantic 10"].append(arrays["expression/semantic"])
        if shelf is not None:
            from pipeline.encoder import ClipInputs
            from pipeline.face.ddfa import DdfaEncoder

            inputs = ClipInputs(
                count,
                {"face/landmarks": arrays["face/landmarks"]},
                video_source=lambda frames=arrays["video/rgb"]: frames,
            )
            found = DdfaEncoder(shelf=shelf).encode(inputs)
            columns["3DDFA mb05 10"].append(found["expression/3ddfa"])
        rows["mar"].append(arrays["face/mar"])
        for name, value in (
            ("tag", source.emotion),
            ("clip", source.clip_id),
            ("who", source.identity),
        ):
            rows[name].append(np.full(count, value))
        rows["early"].append(np.arange(count) < SPLIT * count)
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    kinds = {name: np.concatenate(parts) for name, parts in columns.items() if parts}
    if len(kinds) == 2:
        kinds["both 20"] = np.concatenate(list(kinds.values()), axis=1)
    frames = {}
    for name, x in kinds.items():
        found = np.isfinite(x).all(axis=1) & np.isfinite(joined["mar"])
        frames[name] = Frames(x=x.astype(np.float64), **joined).take(found)
    return frames


def whitened(frames: Frames) -> Frames:
    """Each person by own statistics."""
    out = frames.x.copy()
    for who in np.unique(frames.who):
        rows = frames.who == who
        out[rows] = fit_whitening(frames.x[rows]).whiten(frames.x[rows])
    return Frames(out, frames.mar, frames.tag, frames.clip, frames.who, frames.early)


def plain(train: Frames, test: Frames) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Standardise, LinearSVC with balanced classes: no groups, no sampling."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    out = {}
    for tag in np.unique(train.tag):
        machine = LinearSVC(**SETTINGS)
        machine = make_pipeline(StandardScaler(), machine).fit(train.x, train.tag == tag)
        out[str(tag)] = (machine.decision_function(test.x), test.tag == tag)
    return out


def planes(**settings: Any) -> Score:
    """The planes of `pipeline.hyperplanes` with some settings."""

    def score(train: Frames, test: Frames) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        fitted = fit_hyperplanes(
            train.x,
            train.mar,
            train.tag.tolist(),
            train.clip.tolist(),
            HyperplaneConfig(**settings),
        )
        return {tag: (fitted.margins(tag, test.x), test.tag == tag) for tag in fitted.planes}

    return score


ALL: dict[str, Any] = {"groups": 1, "min_groups": 1, "max_frames": 100_000}
METHODS: dict[str, Score] = {
    "plain LinearSVC": plain,
    "one group": planes(**ALL),
    "five MAR groups (default)": planes(),
    "five MAR groups, weighed": planes(balance="weigh"),
    "one group, weighed, distance within emotions": planes(**ALL, balance="weigh", within=0.1),
    "five MAR groups, weighed, distance within emotions": planes(balance="weigh", within=0.1),
}


def figures(said: dict[str, tuple[np.ndarray, np.ndarray]], mar: np.ndarray) -> tuple[float, float]:
    """Mean balanced accuracy, and how much margins follow the mouth within a class."""
    accuracy = [balanced_accuracy(margin > 0, has) for margin, has in said.values()]
    mouth = []
    for margin, has in said.values():
        for rows in (has, ~has):
            mouth.append(abs(np.corrcoef(margin[rows], mar[rows])[0, 1]))
    return float(np.mean(accuracy)), float(np.mean(mouth))


def main(folder: str, weights: str | None = None) -> None:
    """Print the table."""
    kinds = read(Path(folder), None if weights is None else Path(weights))
    people = np.unique(next(iter(kinds.values())).who)
    header = [f"{who}, time" for who in people] + [f"{who}, unseen person" for who in people]
    print(f"| coefficients | method | {' | '.join(header)} | tags | follows the mouth |")
    print(f"|---|---|{'---:|' * (len(header) + 2)}")
    for kind, frames in kinds.items():
        for method, score in METHODS.items():
            cells, mouths, tags = [], [], 0
            for who in people:
                own = frames.take(frames.who == who)
                test = own.take(~own.early)
                said = score(own.take(own.early), test)
                accuracy, mouth = figures(said, test.mar)
                cells.append(accuracy)
                mouths.append(mouth)
                tags = len(said)
            white = whitened(frames)
            for who in people:
                test = white.take(white.who == who)
                said = score(white.take(white.who != who), test)
                cells.append(figures(said, test.mar)[0])
            shown = " | ".join(f"{value:.3f}" for value in cells)
            print(f"| {kind} | {method} | {shown} | {tags} | {np.mean(mouths):.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What raters choose between: folders of videos of the same names, or evaluations of one store."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.errors import NothingToDo
from flows.evaluation.places import generated_in, recorded_in
from flows.evaluation.side_by_side import RECORD, read_run
from pipeline.datasets.emotions import spelled_out

SUFFIXES = (".mp4", ".webm", ".m4v")
"""What every browser plays; other containers are named and refused."""
TRUTH = "true videos"
"""What the recorded videos are called in the table."""


@dataclass(frozen=True)
class Choice:
    """One side of a comparison."""

    name: str
    videos: dict[str, Path]
    """By what is compared: the file's name without ending, or the clip."""
    emotions: dict[str, str]
    """What a video should show, where something says so."""
    folder: Path


def choices_of(
    folders: Sequence[Path], *, truth: bool = False, names: Sequence[str] | None = None
) -> list[Choice]:
    """Every folder as a choice, all of one kind; with `truth` the recorded videos as one more.

    Raises:
        NothingToDo: folders of two kinds, one that is none, fewer than two choices, two of one
            name, names that do not fit.
    """
    found = [_is_evaluation(folder) for folder in folders]
    if any(found):
        if not all(found):
            wrong, right = folders[found.index(False)], folders[found.index(True)]
            raise NothingToDo(
                f"{right} is an evaluation and {wrong} is none (it holds no {RECORD}); run "
                f"`emohead evaluate` there first, or give folders of videos alone"
            )
        choices = _evaluations(folders, truth)
    elif truth:
        raise NothingToDo(
            f"--truth takes the recorded videos of an evaluation, and {folders[0]} is none (it "
            f"holds no {RECORD}); give the folder of the true videos as another choice"
        )
    else:
        choices = [_flat(folder, folders) for folder in folders]
    if len(choices) < 2:
        raise NothingToDo(
            f"{folders[0]} alone leaves nothing to choose between; give another folder, or --truth "
            "for an evaluation's recorded videos"
        )
    called = list(names) if names else [choice.name for choice in choices]
    if len(called) != len(choices) or len(set(called)) != len(called):
        raise NothingToDo(
            f"{len(choices)} choices and {len(called)} names ({', '.join(called)}); give each "
            "folder once, and --names a different name for each"
        )
    return [
        Choice(name, choice.videos, choice.emotions, choice.folder)
        for name, choice in zip(called, choices, strict=True)
    ]


def _is_evaluation(folder: Path) -> bool:
    return (folder / RECORD).is_file() or (folder / "evaluation" / RECORD).is_file()


def _evaluations(folders: Sequence[Path], truth: bool) -> list[Choice]:
    runs = [read_run(folder) for folder in folders]
    systems = [run.name for run in runs]
    choices = []
    for run in runs:
        videos = {clip: generated_in(run.folder, clip) for clip in run.generated}
        videos = {clip: path for clip, path in videos.items() if path.is_file()}
        if not videos:
            raise NothingToDo(
                f"{run.folder} holds no video of its {len(run.generated)} clips; run `emohead "
                "evaluate` there again, or give the folders of videos themselves"
            )
        called = run.name if systems.count(run.name) == 1 else f"{run.name} in {run.folder}"
        choices.append(Choice(called, videos, _asked(run.folder), run.folder))
    if truth:
        first = choices[0]
        recorded = {clip: recorded_in(first.folder, clip) for clip in first.videos}
        there = {clip: path for clip, path in recorded.items() if path.is_file()}
        choices.append(Choice(TRUTH, there, first.emotions, first.folder))
    return choices


def _asked(folder: Path) -> dict[str, str]:
    """Clip → the emotion it was spoken in, as the evaluation's table says."""
    rows = json.loads((folder / RECORD).read_text("utf-8"))["tables"].get("clips", ())
    return {
        row["clip"]: row["emotion"] for row in rows if row.get("emotion") not in ("", "unlabelled")
    }


def _flat(folder: Path, all_of_them: Sequence[Path]) -> Choice:
    if not folder.is_dir():
        raise NothingToDo(f"{folder} is no folder; give folders of videos, or evaluations")
    videos = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
    alike = [other for other in all_of_them if other.name == folder.name]
    emotions = {name: emotion for name, path in videos.items() if (emotion := _emotion(path))}
    return Choice(folder.name if len(alike) == 1 else str(folder), videos, emotions, folder)


def _emotion(video: Path) -> str:
    """What a video should show: by the record beside it, else by a word of its name."""
    beside = video.with_suffix(".json")
    if beside.is_file():
        try:
            told = json.loads(beside.read_text("utf-8")).get("emotion")
        except (ValueError, AttributeError):
            told = None
        if isinstance(told, str) and told:
            return told
    words = video.stem.replace("-", "_").replace("#", "_").split("_")
    return next((tag for word in words if (tag := spelled_out(word))), "")

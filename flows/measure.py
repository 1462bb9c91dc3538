"""`emohead metrics`: one pair of anybody's videos to a table."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from flows.progress import step
from pipeline.datasets.emotions import CANONICAL, canonical
from render.errors import ConfigError
from render.metrics.catalogue import CATALOGUE
from render.metrics.judges import Judges
from render.metrics.measured import Measured, not_measured
from render.metrics.pair import PairOptions, PairScore, score_pair

DATASET = "clips"


def measure_pair(
    generated: Path,
    reference: Path | None,
    *,
    emotion: str | None = None,
    planes: tuple[str, str] | None = None,
    resize: bool = False,
    trim: bool = False,
    drawn: int | None = None,
    openface: Path | None = None,
) -> dict[str, Any]:
    """Every metric of one pair, JSON-able.

    Args:
        generated: the video to judge.
        reference: the true one; None: what needs none.
        emotion: what it should show: a canonical tag or a synonym of one.
        planes: (store, identity) whose hyperplanes tell the side.
        resize: see `PairOptions`.
        trim: see `PairOptions`.
        drawn: see `PairOptions`.
        openface: path of FeatureExtraction.

    Raises:
        MediaError: a file is no video.
        NothingToDo: the store has no hyperplanes of the identity.
        ConfigError: no emotion is called so.
        MetricError: `drawn` is wider than the video.
    """
    if emotion is not None:
        emotion = known_tag(emotion)
    margins = None
    if planes is not None:
        from flows.margins import margins_of, planes_of
        from flows.store_features import expression_of, profile_of_store
        from store import Cache

        cache = Cache.open(planes[0])
        expression = expression_of(cache, DATASET)
        made_by = profile_of_store(cache, "main", DATASET) or "embedded"
        sets = planes_of(cache.snapshot("main"), DATASET, expression)
        margins = margins_of(sets, planes[1], expression, made_by)
    with step("measure"):
        score = score_pair(
            generated,
            reference,
            judges=Judges(openface_path=openface),
            options=PairOptions(resize=resize, trim=trim, drawn=drawn),
            emotion=emotion,
            margins=margins,
        )
    cells = score.generated | {"fid": fid_of([score])}
    return {
        "generated": {key: cells[key].record() for key in CATALOGUE},
        "reference": {key: cell.record() for key, cell in score.reference.items()},
        "reduced": {key: cell.record() for key, cell in score.reduced.items()},
        "facts": score.facts,
    }


def known_tag(word: str) -> str:
    """The canonical tag of a word.

    Raises:
        ConfigError: there is none; the nearest are named.
    """
    tag = canonical(word)
    if tag is None:
        near = get_close_matches(word.lower(), CANONICAL, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no emotion {word!r}{hint} There are {', '.join(CANONICAL)}")
    return tag


def fid_of(scores: list[PairScore]) -> Measured:
    """FID over all frames of all pairs."""
    from render.errors import MetricError
    from render.metrics.frechet import frechet_of_clips

    try:
        return frechet_of_clips(
            [score.features.get("generated") for score in scores],
            [score.features.get("reference") for score in scores],
        )
    except MetricError as error:
        return not_measured("fid", str(error))


def pair_text(record: dict[str, Any]) -> str:
    """The table for people; the reference's own figures stand beside."""
    lines = []
    at = record["facts"].get("reduced")
    small = f"reference at {at[0]}x{at[1]} px" if at else ""
    for key, metric in CATALOGUE.items():
        ours = Measured(**record["generated"][key])
        name = f"{metric.name}{f' [{metric.unit}]' if metric.unit else ''}"
        line = f"{name:<34} {ours.text()}"
        beside = [(who, record[part][key]) for who, part in (("reference", "reference"),
                  (small, "reduced")) if key in record[part]]  # fmt: skip
        if beside and ours.known:
            told = "; ".join(f"{who}: {Measured(**cell).text()}" for who, cell in beside)
            line += f"   ({told})"
        if ours.known and key == "hyperplane" and ours.note:
            line += f"   [{ours.note}]"
        lines.append(line)
    facts = record["facts"]
    for side in ("generated", "reference"):
        if side in facts:
            lines.append(_file_text(side, facts[side]))
    return "\n".join(lines)


def _file_text(side: str, facts: dict[str, Any]) -> str:
    rate = facts["source_fps"]
    shown = "" if rate is None or abs(rate - 25) < 0.01 else f", from {rate:g} fps"
    return (
        f"{side}: {facts['file']}, {facts['frames']} frames at 25 fps{shown}, "
        f"{facts['width']}x{facts['height']} px, a face in {facts['frames_with_face']}, "
        f"sound: {facts['sound']}"
    )

"""The paper's protocol: speak every held-out clip again, measure, set beside the paper's tables."""

from dataclasses import dataclass, field
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.config import EvaluateConfig
from flows.errors import NothingToDo
from flows.evaluation import quoted
from flows.evaluation.ablations import MEANING, Found, beside_ablations
from flows.evaluation.clips import Made, Speaker, held_out_clips
from flows.evaluation.page import Part
from flows.evaluation.people import marks_of
from flows.evaluation.results import Shelved, scored
from flows.evaluation.side_by_side import Cells
from flows.evaluation.tables import (
    REDUCED,
    Scored,
    beside,
    clip_rows,
    function_rows,
    mean_rows,
    reduced_cells,
    sizes_of,
)
from flows.fit_hyperplanes import planes_key
from flows.margins import margins_of, planes_of
from flows.progress import step
from flows.store_features import profile_of_store
from models.errors import ModelError
from render.errors import RenderError
from render.metrics.judges import Judges
from render.metrics.pair import PairOptions
from store import Cache, Snapshot

HEAD = (
    "Head and expression are generated, body and background are the clip's own (the paper renders "
    "no body either): figures of whole frames (PSNR, SSIM, LPIPS, FID) are the better for it."
)
PORTRAIT = (
    "Whole frames are generated from one picture and enlarged; the head moves as the model has it, "
    "not as in the clip: figures frame by frame (PSNR, SSIM, LPIPS) are the worse for it, landmark "
    "distances too."
)


@dataclass
class Outcome:
    """What came of the protocol."""

    made: list[Made] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    reused: int = 0

    def cells(self) -> Cells:
        """Clip → metric → record of the generated video."""
        return {
            clip.clip_id: {k: cell.record() for k, cell in clip.score.generated.items()}
            for clip in self.scored
            if clip.score is not None
        }

    def true(self) -> Cells:
        """The same of the true videos, of metrics that need no second one."""
        return {
            clip.clip_id: {k: cell.record() for k, cell in clip.score.reference.items()}
            for clip in self.scored
            if clip.score is not None
        }

    def reduced(self) -> dict[str, Cells]:
        """The true videos brought to the size of the generated ones, by that size (`64 px`)."""
        return reduced_cells(self.scored)


@task(name="speak and measure", cache_policy=NO_CACHE, persist_result=False)
def run_protocol(snapshot: Snapshot, config: EvaluateConfig, identities: list[str]) -> Outcome:
    """Make and measure the held-out clips of each identity with a head.

    What was made or measured before, by this run or a killed one, is taken as it is.
    """
    out = Outcome()
    judges = Judges(openface_path=config.openface)
    shelf = Shelved(config.out / "scores")
    expression = config.names.expression
    planes = planes_of(snapshot, config.dataset, expression)
    key = str(planes_key(snapshot, config.dataset, expression))
    made_by = profile_of_store(Cache.open(config.store), config.ref, config.dataset)
    profile = config.profile or made_by or "embedded"
    for identity in identities:
        try:
            speaker = Speaker(snapshot, config, identity)
            clips, remark = held_out_clips(snapshot, config, identity, speaker.drawer.learnt_from())
            margins = margins_of(planes, identity, expression, profile)
        except (NothingToDo, ModelError, RenderError, OSError) as error:
            out.missing[identity] = str(error)
            continue
        if remark:
            out.remarks.append(f"{identity}: {remark}")
        with step(f"speak and measure {identity}", total=len(clips), unit="clips") as bar:
            for clip_id in clips:
                try:
                    made = speaker.make(clip_id)
                except (ModelError, RenderError) as error:  # this head or network cannot be used
                    out.missing[identity] = str(error)
                    break
                out.made.append(made)
                score = None
                if made.generated and made.reference:
                    score, found = scored(
                        shelf,
                        made.generated,
                        made.reference,
                        judges,
                        made.emotion or None,
                        margins,
                        f"{identity} {key}",
                        PairOptions(drawn=made.drawn),
                    )
                    out.reused += found
                out.scored.append(Scored(clip_id, identity, made.emotion, score, made.why_not))
                bar.advance()
    return out


def parts_of(
    outcome: Outcome, snapshot: Snapshot, config: EvaluateConfig, ablations: Found
) -> dict[str, Part]:
    """Every table of the protocol by file name, in the order of the page."""
    clips = outcome.scored
    people = marks_of(config.out.parent) if config.system == "emohead" else None
    sides = [
        cell.value
        for clip in clips
        if clip.score and (cell := clip.score.generated["hyperplane"]).value is not None
    ]
    notice = quoted.NOTICE
    told = f"{notice} {MEANING}"
    whole = HEAD if config.portrait is None else PORTRAIT
    interval = f"95 % percentile bootstrap over clips. {whole}"
    interval += f" {REDUCED}" if sizes_of(clips) else ""
    return {
        "means": Part("Held-out clips, means", mean_rows(clips), interval),
        "clips": Part("Held-out clips, one by one", clip_rows(clips)),
        "table-1": Part("Table I: MEAD", beside(clips, quoted.TABLE_1, people), notice),
        "table-2": Part("Table II: CREMA-D", beside(clips, quoted.TABLE_2, people), notice),
        "table-3": Part(
            "Table III: what can be manipulated", function_rows(clips, sides), quoted.NOTICE
        ),
        "table-4": Part("Table IV: ablations", beside_ablations(quoted.TABLE_4, ablations), told),
        "table-5": Part("Table V: widths", _width_rows(snapshot, config), notice),
        "table-6": Part("Table VI: losses", beside_ablations(quoted.TABLE_6, ablations), told),
    }


def _width_rows(snapshot: Snapshot, config: EvaluateConfig) -> list[dict[str, Any]]:
    names, schemas = config.names, snapshot.features(config.dataset)
    parts = {
        "audio": names.audio,
        "emotion": names.emotion,
        "text": names.text,
        "expression": names.expression,
    }
    rows: list[dict[str, Any]] = []
    for part, feature in parts.items():
        schema = schemas.get(feature)
        width = "not measured: not in the store"
        if schema is not None:
            width = str(schema.token_dim or schema.shape[-1])
        rows.append(
            {
                "part": part,
                "EmoHead (quoted)": str(quoted.TABLE_5[part]),
                "this run": width,
                "feature": feature,
            }
        )
    return rows

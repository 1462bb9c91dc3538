"""How the viewer lays a clip out: the face to the left, curves on one clock to the right."""

from collections.abc import Sequence

import rerun.blueprint as rrb

from pipeline.clock import FPS


def layout(
    heat_maps: Sequence[str], *, masks: bool, margins: bool, sound: bool, seen: bool
) -> rrb.Blueprint:
    """The blueprint of a clip.

    Args:
        heat_maps: features shown as pictures.
        masks: whether the clip has a segmentation.
        margins: whether its identity has hyperplanes.
        sound: whether it can be heard.
        seen: whether it has frames at all; a refused clip is its page.
    """
    about = rrb.TextDocumentView(origin="about", name="Clip")
    if not seen:
        log = rrb.TextLogView(origin="/", contents=["flags/**"], name="Why")
        return rrb.Blueprint(rrb.Horizontal(about, log), collapse_panels=True)
    faces: list[rrb.View] = [
        rrb.Spatial2DView(
            origin="face",
            contents=["face/frame", "face/landmarks", "face/pose"],
            name="Face, landmarks, pose",
        )
    ]
    if masks:
        faces.append(
            rrb.Spatial2DView(
                origin="face", contents=["face/frame", "face/parsing/**"], name="Masks"
            )
        )
    log = rrb.TextLogView(origin="/", contents=["words", "flags/**"], name="Words and flags")
    curves: list[rrb.View] = [rrb.StateTimelineView(origin="lanes", name="Emotion, face, words")]
    if sound:
        curves.append(rrb.AudioView(origin="sound/audio", name="Sound"))
    curves.append(
        rrb.TimeSeriesView(origin="curves", contents=["curves/face/**"], name="Mouth aspect ratio")
    )
    if margins:
        curves.append(rrb.TimeSeriesView(origin="emotion", name="Margin: above 0 is the emotion"))
    curves.append(
        rrb.TimeSeriesView(origin="expression/whitened", name="Expression, whitened")
        if margins
        else rrb.TimeSeriesView(origin="expression/raw", name="Expression")
    )
    curves.append(
        rrb.TimeSeriesView(
            origin="/", contents=["pose/angles", "curves/pose/**"], name="Head pose, its error"
        )
    )
    heat = [rrb.Spatial2DView(origin=f"features/{name}", name=name) for name in heat_maps]
    left = rrb.Vertical(
        rrb.Horizontal(*faces), rrb.Tabs(log, about), row_shares=[3, 2], name="Face"
    )
    right = rrb.Vertical(*curves, row_shares=[5, *[4] * (len(curves) - 1)], name="Curves")
    parts = [left, right, *([rrb.Vertical(*heat, name="Features")] if heat else [])]
    return rrb.Blueprint(
        rrb.Horizontal(*parts, column_shares=[3, 4, 2][: len(parts)]),
        rrb.TimePanel(timeline="time", fps=FPS, expanded=False),
        collapse_panels=True,
    )

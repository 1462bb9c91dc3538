"""The side of the hyperplane, measured from a real video as the cache's encoders measure it."""

from pathlib import Path

import numpy as np
import pytest

from flows.errors import NothingToDo
from flows.margins import coefficients_of, margins_of
from pipeline.hyperplanes import Hyperplane, HyperplaneSet
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.scan import scan
from pipeline.whitening import Whitening
from render.errors import MetricError
from render.metrics.alone import measure_one
from render.metrics.judges import Judges
from render.metrics.watching import Watched, watch

FEATURE = "expression/semantic"


@pytest.fixture(scope="module")
def smile(shared_data: Path) -> Watched:
    return watch(shared_data / "real/mead/M030_front_happy_level3_001.mp4")


def planes(w: np.ndarray, b: float) -> HyperplaneSet:
    plane = Hyperplane(
        tag="happy", w=w, b=b, bin_edges=np.zeros(6), bin_counts=np.zeros(5, np.int64),
        accuracy=None, accuracy_note="", train_accuracy=1.0, margin=1.0, rest_margin=-1.0,
        clips=1, frames=1,
    )  # fmt: skip
    return HyperplaneSet(
        "M030", FEATURE, tuple("abcdefghij"), Whitening.unit(10), {"happy": plane},
        {"sad": "too few clips"},
    )  # fmt: skip


def test_coefficients_are_those_of_preprocessing(smile: Watched) -> None:
    profile = load_profile("embedded", size=256)
    found = coefficients_of(smile, FEATURE, profile)
    path = smile.path
    (source,) = (c for c in scan(path.parent, "auto").clips if c.path == path)
    stored = process_clip(source, [FEATURE], profile).arrays[FEATURE]
    assert found == pytest.approx(stored, abs=2e-3)


def test_frames_beyond_the_plane_are_counted(smile: Watched) -> None:
    raw = coefficients_of(smile, FEATURE, load_profile("embedded", size=256))
    mouth = np.zeros(10)
    mouth[0] = 1.0
    middle = float(np.median(raw[:, 0]))
    margins = margins_of({"M030": planes(mouth, -middle)}, "M030", FEATURE)
    assert margins(smile, "happy") == pytest.approx(raw[:, 0] - middle)
    cell = measure_one(smile, Judges(), "happy", margins)["hyperplane"]
    assert cell.value == pytest.approx(50, abs=1.5)  # one side of the median
    with pytest.raises(MetricError, match="no hyperplane for 'sad' of 'M030': too few clips"):
        margins(smile, "sad")
    with pytest.raises(NothingToDo, match="no hyperplanes of identity 'nobody'"):
        margins_of({"M030": planes(mouth, 0.0)}, "nobody", FEATURE)

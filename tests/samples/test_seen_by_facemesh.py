"""The samples through the eyes of the landmark model that the pipeline uses."""

import warnings
from typing import Any

import av
import numpy as np
import pytest

STEMS = ("iris_happy_s5", "iris_neutral_s2", "milo_angry_s5")


@pytest.fixture(scope="module")
def seen(made: Any):
    """Landmarks [V, 478, 3] in pixels of every frame, NaN where no face was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protobuf's own, on loading and running the graph
        import mediapipe as mp

        found = {}
        for stem in STEMS:
            with av.open(str(made.folder / f"{stem}.mp4")) as file:
                frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
            solution = mp.solutions.face_mesh  # pyright: ignore[reportAttributeAccessIssue]
            mesh = solution.FaceMesh(static_image_mode=False, refine_landmarks=True)
            points = np.full((len(frames), 478, 3), np.nan)
            for i, frame in enumerate(frames):
                faces = mesh.process(frame).multi_face_landmarks
                if faces:
                    points[i] = [(p.x, p.y, p.z) for p in faces[0].landmark]
            mesh.close()
            found[stem] = points * frames[0].shape[0]
    return found


def inner_lip_aspect(points: np.ndarray):
    def distance(a: int, b: int):
        return np.linalg.norm(points[:, a] - points[:, b], axis=1)

    heights = distance(81, 178) + distance(13, 14) + distance(311, 402)
    return heights / (3 * distance(78, 308))


@pytest.mark.parametrize("stem", STEMS)
def test_a_face_is_found_in_every_frame(seen: dict[str, np.ndarray], stem: str):
    assert not np.isnan(seen[stem]).any()


@pytest.mark.parametrize("stem", STEMS)
def test_the_mouth_opens_as_the_truth_says(made: Any, seen: dict[str, np.ndarray], stem: str):
    truth = np.array(made.sidecar(stem)["truth"]["mouth_open"])
    measured = inner_lip_aspect(seen[stem])
    assert np.corrcoef(measured, truth)[0, 1] >= 0.9


@pytest.mark.parametrize("stem", STEMS)
def test_the_head_turns_as_the_truth_says(made: Any, seen: dict[str, np.ndarray], stem: str):
    rotation = np.array(made.sidecar(stem)["truth"]["pose"]["rotation"])
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    eyes = seen[stem][:, 263] - seen[stem][:, 33]
    measured = np.arctan2(eyes[:, 1], eyes[:, 0])
    assert np.abs(np.rad2deg(measured - roll)).max() < 3.0

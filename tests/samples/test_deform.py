import numpy as np
import pytest

from pipeline.samples import EMOTIONS, indices
from pipeline.samples.deform import NAMES, mouth_aspect
from pipeline.samples.emotions import offset
from pipeline.samples.geometry import face_length
from pipeline.samples.paint import Painter
from pipeline.samples.person import Person, build_person
from pipeline.samples.script import write_script
from pipeline.samples.speech_files import load_reading


@pytest.fixture(scope="module")
def people():
    return {name: build_person(name) for name in ("iris", "milo")}


def moved(person: Person, **values: float):
    coefficients = np.array([values.get(name, 0.0) for name in NAMES])
    return person.basis.apply(person.neutral, coefficients)


def test_mouth_aspect_of_a_hand_made_mouth():
    face = np.zeros((468, 3))
    face[78], face[308] = (-2, 0, 0), (2, 0, 0)
    for (top, bottom), height in zip(indices.MAR_VERTICAL, (1, 2, 3), strict=True):
        face[bottom] = face[top] + (0, height, 0)
    assert mouth_aspect(face) == pytest.approx((1 + 2 + 3) / (3 * 4))
    face[14] = face[13] - (0, 0.5, 0)  # overlapping lips are closed, not open
    assert mouth_aspect(face) == pytest.approx((1 + 0 + 3) / (3 * 4))


def test_the_neutral_mouth_is_closed_and_the_jaw_opens_it(people: dict[str, Person]):
    for person in people.values():
        assert mouth_aspect(person.neutral) < 0.02
        aspects = [mouth_aspect(moved(person, jaw_open=c)) for c in (0.02, 0.05, 0.1)]
        assert aspects == sorted(aspects)
        assert aspects[-1] > 0.15


def test_a_coefficient_moves_its_point_by_that_share_of_the_face(people: dict[str, Person]):
    person = people["iris"]
    length = face_length(person.neutral)
    chin = moved(person, jaw_open=0.1)[indices.CHIN] - person.neutral[indices.CHIN]
    assert chin[1] == pytest.approx(0.1 * length, rel=0.1)
    wide = moved(person, mouth_width=0.05)
    width = np.linalg.norm(wide[61] - wide[291]) - np.linalg.norm(
        person.neutral[61] - person.neutral[291]
    )
    assert width == pytest.approx(0.05 * length, rel=0.15)
    corners = moved(person, corner_raise=0.04)[[61, 291], 1] - person.neutral[[61, 291], 1]
    np.testing.assert_allclose(corners, -0.04 * length, rtol=0.1)
    brows = moved(person, brow_inner_raise=0.04)[[107, 336], 1] - person.neutral[[107, 336], 1]
    np.testing.assert_allclose(brows, -0.04 * length, rtol=0.25)
    near = moved(person, brow_gap=-0.02)
    gap = (near[285] - near[55])[0] - (person.neutral[285] - person.neutral[55])[0]
    assert gap == pytest.approx(-0.02 * length, rel=0.25)


def test_minus_eye_gap_shuts_the_eyes(people: dict[str, Person]):
    for person in people.values():
        shut = moved(person, eye_open=-person.basis.eye_gap)
        for top, bottom in ((159, 145), (386, 374)):
            before = person.neutral[bottom, 1] - person.neutral[top, 1]
            assert abs(shut[bottom, 1] - shut[top, 1]) < 0.2 * before


def test_emotions_are_different_faces():
    offsets = {emotion: offset(emotion) for emotion in EMOTIONS}
    assert not offsets["neutral"].any()
    for a in EMOTIONS:
        for b in EMOTIONS:
            if a < b:
                assert np.linalg.norm(offsets[a] - offsets[b]) > 0.03
    get = {name: i for i, name in enumerate(NAMES)}
    assert offsets["happy"][get["corner_raise"]] > 0 > offsets["sad"][get["corner_raise"]]
    assert offsets["sad"][get["brow_inner_raise"]] > 0 > offsets["angry"][get["brow_inner_raise"]]


def test_the_two_people_have_different_faces(people: dict[str, Person]):
    shapes = []
    for person in people.values():
        points = person.neutral[:468] - person.neutral[:468].mean(axis=0)
        shapes.append(points / np.linalg.norm(points))
    plain, other = shapes
    mirrored = other.copy()
    mirrored[:, 0] *= -1  # milo starts from the mirror image: that alone must not be the difference
    swap = np.argmin(np.linalg.norm((plain * [-1, 1, 1])[:, None] - plain[None], axis=2), axis=1)
    for candidate in (other, mirrored[swap]):
        u, _, vt = np.linalg.svd(candidate.T @ plain)
        error = np.linalg.norm(candidate @ (u @ vt) - plain)
        assert error > 0.04  # procrustes distance of unit shapes


def test_truth_and_frames_are_the_same_every_time(people: dict[str, Person]):
    person = people["iris"]
    reading = load_reading("iris", "happy", "s2")
    scripts = [write_script(person, reading, "happy", "iris_happy_s2") for _ in range(2)]
    for field in ("coefficients", "rotation", "translation", "mouth_open", "blink", "gaze"):
        np.testing.assert_array_equal(getattr(scripts[0], field), getattr(scripts[1], field))
    other = write_script(person, reading, "happy", "another name")
    assert not np.array_equal(other.rotation, scripts[0].rotation)
    s = scripts[0]
    frames = [
        Painter(who, 96).paint(s.coefficients[7], s.rotation[7], s.translation[7], s.gaze[7])
        for who in (person, build_person("iris"))
    ]
    np.testing.assert_array_equal(frames[0], frames[1])

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.samples import IDENTITIES, SENTENCES, heldout_reading, heldout_speech, make_samples

SAD: dict[str, Any] = {"identities": ["iris"], "emotions": ["sad"], "sentences": ["s2"]}


def test_a_clip_already_there_is_left_alone(made: Any):
    before = [path.stat().st_mtime_ns for path in made.paths]
    made_again = make_samples(
        made.folder, size=160, identities=["milo"], emotions=["angry"], sentences=["s5"]
    )
    assert made_again == [made.folder / "milo_angry_s5.mp4"]
    assert [path.stat().st_mtime_ns for path in made.paths] == before


def test_another_recipe_makes_the_clip_again(tmp_path: Path):
    (path,) = make_samples(tmp_path, size=64, **SAD)
    first = path.read_bytes()
    make_samples(tmp_path, size=80, **SAD)
    assert path.read_bytes() != first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iris_sad_s2.json", "iris_sad_s2.mp4"]


def test_a_torn_sidecar_means_the_clip_is_made_again(tmp_path: Path):
    (path,) = make_samples(tmp_path, size=64, **SAD)
    whole = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(whole[:200])
    make_samples(tmp_path, size=64, **SAD)
    assert path.with_suffix(".json").read_text() == whole


def test_several_processes_write_the_same_truth(tmp_path: Path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    names: dict[str, Any] = {"identities": ["iris"], "emotions": ["angry"]}
    paths = make_samples(together, size=64, sentences=["s2", "s3"], workers=2, **names)
    (one,) = make_samples(alone, size=64, sentences=["s2"], **names)
    assert [path.name for path in paths] == ["iris_angry_s2.mp4", "iris_angry_s3.mp4"]
    assert all(path.is_file() for path in paths)
    assert paths[0].with_suffix(".json").read_text() == one.with_suffix(".json").read_text()
    assert paths[0].read_bytes() == one.read_bytes()


def test_progress_counts_the_clips(made: Any):
    seen = []
    make_samples(
        made.folder,
        size=160,
        identities=["iris"],
        emotions=["happy"],
        sentences=["s5"],
        progress=lambda *args: seen.append(args),
    )
    assert seen == [(1, 1, "iris_happy_s5")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"identities": ["nobody"]}, "no sample identity 'nobody'; there are iris, milo"),
        ({"emotions": ["bored"]}, "no sample emotion 'bored'"),
        ({"sentences": ["heldout"]}, "no sample sentence 'heldout'"),
        ({"size": 31}, "sample size 31: it must be even and at least 64"),
    ],
)
def test_unknown_names_are_refused_with_the_choices(
    tmp_path: Path, wrong: dict[str, Any], said: str
):
    with pytest.raises(InputError, match=said):
        make_samples(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_one_sentence_is_for_testing_and_the_heldout_speech_is_no_clip():
    assert [s.name for s in SENTENCES.values() if s.split == "test"] == ["s5"]
    for identity in IDENTITIES:
        path = heldout_speech(identity)
        assert isinstance(path, Path)
        assert path.is_file()
        reading = heldout_reading(identity)
        assert 5.0 <= reading.frames / 25 <= 6.0
        said = [word["word"] for word in reading.words]
        assert said == reading.transcript.lower().replace(",", "").replace(".", "").split()

"""Timelines in YAML: the same as on the command line; what is wrong is named with its segment."""

from pathlib import Path

import pytest

from models.emotion import Timeline
from models.errors import EmotionError
from models.timeline_file import read_timeline, timeline_text


def written(path: Path, text: str) -> Path:
    file = path / "t.yaml"
    file.write_text(text)
    return file


def test_a_file_says_what_a_line_says(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        timeline:
          - {emotion: neutral, from: 0, to: 2}
          - {emotion: happy + surprised*0.5, from: 3, to: 5.25, intensity: 0.8}
          - {emotion: sad, from: 7}
        """,
    )
    line = "neutral@0-2, happy + surprised*0.5@3-5.25:0.8, sad@7"
    assert timeline_text(file) == line
    assert read_timeline(file) == Timeline.parse(line)
    assert read_timeline(written(tmp_path, "- emotion: happy")) == Timeline.parse("happy")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {emotion: happy, form: 0}", "segment 1: 'form' is not known; did you mean 'from'"),
        ("- {emotion: happy, from: 0, to: soon}", "segment 1: to = 'soon', a number"),
        ("- {emotion: happy, from: -1, to: 2}", "from = -1, a number of at least 0"),
        ("- {emotion: happy, to: 2}", "to = 2 without from"),
        ("- happy", "segment 1: 'happy', a mapping is needed"),
        ("- {emotion: 'happy@1', from: 0}", "emotion is 'happy@1', a tag is needed"),
        ("- {from: 0, to: 2}", "emotion is None"),
        ("- {emotion: a, from: 0, to: 1}\n- {emotion: b}", "segment 2 of 2 has no time"),
        ("just words", "holds str, a list of segments"),
        ("[]", "holds list, a list of segments"),
        ("a: [", "cannot be read as YAML"),
        ("- {emotion: a, from: 0, to: 3}\n- {emotion: b, from: 2, to: 4}", "b starts at 2.0 s"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(EmotionError, match=told.replace("(", r"\(")):
        read_timeline(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmotionError, match=r"no\.yaml: No such file.*give a YAML file"):
        read_timeline(tmp_path / "no.yaml")

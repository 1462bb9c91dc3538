"""Sidecars that bring words: TextGrid, WebVTT, SubRip; and who is believed."""

from pathlib import Path

import pytest

from pipeline.datasets.label import Label
from pipeline.datasets.sidecar import known_first, label_from, read_sidecar
from pipeline.datasets.word_files import read_word_file, subtitles, text_grid
from pipeline.errors import InputError
from pipeline.transcript import Transcript, Word

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "iris - words"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 0.75
            text = "say ""hi"""
        intervals [3]:
            xmin = 0.75
            xmax = 1.5
            text = "twice"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.5
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "iris - phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0.25
            xmax = 0.75
            text = "S"
'''
SHORT = '"ooTextFile"\n"TextGrid"\n\n0\n1\n<exists>\n1\n"IntervalTier"\n"anything"\n0\n1\n2\n'
SHORT = 'File type = "ooTextFile"\nObject class = "TextGrid"\n' + SHORT.split("\n", 2)[2]
SHORT += '0\n0.5\n"sil"\n0.5\n1\n"yes"\n'


def told(transcript: Transcript) -> list[tuple[str, float, float]]:
    return [(w.text, round(w.start, 3), round(w.end, 3)) for w in transcript.words]


def test_text_grids_long_and_short() -> None:
    long = text_grid(LONG)
    assert told(long) == [('say "hi"', 0.25, 0.75), ("twice", 0.75, 1.5)]
    assert [(p.text, p.start) for p in long.phonemes] == [("S", 0.25)]
    assert long.source == "sidecar"
    assert told(text_grid(SHORT)) == [("yes", 0.5, 1.0)]


def test_subtitles_share_a_cue_by_letters() -> None:
    srt = "1\r\n00:00:01,000 --> 00:00:02,000\r\n- <i>We</i> [laughs]\r\n{\\an8}goes ♪\r\n\r\n2\r\n"
    srt += "01:00:00,500 --> 01:00:01,000\r\nyes\r\n"
    assert told(subtitles(srt)) == [
        ("We", 1.0, 1.333),
        ("goes", 1.333, 2.0),
        ("yes", 3600.5, 3601.0),
    ]


def test_inline_time_stamps_of_webvtt_are_believed() -> None:
    vtt = "WEBVTT - title\n\nNOTE not --> a cue\n\nSTYLE\n::cue { color: red }\n\nintro\n"
    vtt += "00:01.000 --> 00:03.000 align:start\n<v Iris>Tom &amp; <00:01.500><c>I</c> go\n"
    assert told(subtitles(vtt)) == [("Tom", 1.0, 1.5), ("I", 1.5, 2.0), ("go", 2.0, 3.0)]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.TextGrid", "nothing", "does not begin as a TextGrid"),
        ("a.TextGrid", LONG.replace("words", "orte"), "no tier is called words"),
        ("a.TextGrid", LONG[:-60], "a.TextGrid cannot be read"),
        ("a.srt", "hello", "has no cue"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nno\n", "from 2.0 s to 1.0 s"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\na <00:05.000>b\n", "a.vtt cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=reason):
        read_sidecar(tmp_path / "a.mp4")


def test_praats_encoding_and_the_order_of_files(tmp_path: Path) -> None:
    assert read_word_file(tmp_path / "a.mp4") is None
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nsubtitle\n")
    assert read_sidecar(tmp_path / "a.mp4") is not None
    (tmp_path / "a.TextGrid").write_text(SHORT, encoding="utf-16")
    found = read_word_file(tmp_path / "a.mp4")
    assert found is not None
    assert found.text == "yes"
    (tmp_path / "a.json").write_text('{"emotion": "happy"}')
    label = label_from(read_sidecar(tmp_path / "a.mp4") or {}, "a", Label(identity="a"))
    assert label.emotion == "happy"
    assert label.transcript == found
    (tmp_path / "a.json").write_text('{"transcript": "from json"}')
    label = label_from(read_sidecar(tmp_path / "a.mp4") or {}, "a", Label(identity="a"))
    assert label.transcript == Transcript("from json", source="sidecar")


def test_the_corpus_is_believed_first_and_the_sidecar_brings_the_times() -> None:
    known = Transcript("It's eleven o'clock", source="known")
    words = (Word("its", 0.1, 0.2), Word("eleven", 0.2, 0.5), Word("oclock", 0.5, 0.9))
    same = Transcript("its eleven oclock", words, source="sidecar")
    assert known_first(known, same) == Transcript("It's eleven o'clock", words, source="known")
    other = Transcript("something else", (Word("something", 0.0, 1.0),), source="sidecar")
    assert known_first(known, other) == known
    assert known_first(None, other) == other
    assert known_first(known, None) == known

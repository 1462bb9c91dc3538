"""A scan opens no file whose clips an earlier scan found, and finds the same."""

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline import media
from pipeline.datasets import Label
from pipeline.scan import ScanResult, scan
from pipeline.source import ClipSource, clip_id, content_hash
from pipeline.stretches import KnownClips, stretches, within

SECOND = [Fraction(i, 25) for i in range(25)]
OLD = 1_600_000_000_000_000_000
"""A modification time of long ago, which can be relied on."""


def known(found: ScanResult) -> dict[str, Any]:
    """What a store would tell the next scan."""
    return {
        "known": {(str(c.path), c.size, c.mtime_ns): c.sha256 for c in found.clips},
        "clips": {c.clip_id: c.content for c in found.clips},
    }


def unmeasured(found: ScanResult) -> list[ClipSource]:
    return [replace(clip, seconds=None) for clip in found.clips]


def aged(path: Path) -> Path:
    os.utime(path, ns=(OLD, OLD))
    return path


@pytest.fixture
def opened() -> list[str]:
    """Names of the files that were opened for their length."""
    return []


def look(folder: Path, opened: list[str], **told: Any) -> ScanResult:
    def length(path: Path) -> Fraction:
        opened.append(path.name)
        return media.length(path)

    return scan(folder, length=length, **told)


def test_only_new_and_changed_files_are_opened(
    maker: Any, tmp_path: Path, opened: list[str]
) -> None:
    for name in ("a", "b", "c"):
        aged(maker.write(f"{name}.mp4", SECOND[: {"a": 25, "b": 20, "c": 15}[name]]))
    first = look(tmp_path, opened)
    assert [clip.seconds for clip in first.clips] == [1, Fraction(20, 25), Fraction(15, 25)]
    opened.clear()
    again = look(tmp_path, opened, **known(first))
    assert opened == []
    assert again.clips == unmeasured(first)

    aged(maker.write("d.mp4", SECOND[:10]))  # new
    aged(maker.write("a.mp4", SECOND[:12]))  # the same time, another size
    data = (tmp_path / "b.mp4").read_bytes()
    flipped = bytes([*data[:-1], data[-1] ^ 1])
    (tmp_path / "b.mp4").write_bytes(flipped)  # the same size, another time
    third = look(tmp_path, opened, **known(first))
    assert opened == ["a.mp4", "b.mp4", "d.mp4"]
    assert {c.path.name: c.content for c in third.clips} == {
        c.path.name: c.content for c in scan(tmp_path).clips
    }


def test_what_size_and_time_hide_is_found_by_hashing_everything(maker: Any, tmp_path: Path) -> None:
    path = aged(maker.write("a.mp4", SECOND))
    first = scan(tmp_path)
    data = path.read_bytes()
    path.write_bytes(bytes([*data[:-1], data[-1] ^ 1]))
    aged(path)
    told = known(first)
    assert scan(tmp_path, **told).clips == unmeasured(first)  # the documented limit
    (found,) = scan(tmp_path, clips=told["clips"]).clips
    assert found.content != first.clips[0].content


def test_the_pieces_of_a_long_recording_are_known_when_all_of_them_are(
    maker: Any, tmp_path: Path, opened: list[str]
) -> None:
    aged(maker.write("a.mp4", [Fraction(i) for i in range(150)]))  # one frame a second
    first = look(tmp_path, opened)
    assert len(first.clips) == 3
    opened.clear()
    assert look(tmp_path, opened, **known(first)).clips == unmeasured(first)
    assert opened == []
    told = known(first)
    told["clips"] = dict(list(told["clips"].items())[1:])  # one piece was removed from the store
    assert look(tmp_path, opened, **told).clips == first.clips
    assert opened == ["a.mp4"]


def test_other_words_or_ranges_make_other_clips(
    maker: Any, tmp_path: Path, opened: list[str]
) -> None:
    path = aged(maker.write("a.mp4", SECOND))
    first = look(tmp_path, opened)
    opened.clear()
    path.with_suffix(".json").write_text(json.dumps({"text": "we go", "emotion": "sad"}))
    (told,) = look(tmp_path, opened, **known(first)).clips
    assert opened == ["a.mp4"]  # the words are part of the content
    assert told.transcript is not None
    assert told.content != first.clips[0].content
    (tmp_path / "clips.csv").write_text("file,start,end\na.mp4,0,0.4\na.mp4,0.4,0.8\n")
    cut = look(tmp_path, opened, **known(first))
    assert [clip.end for clip in cut.clips] == [Fraction(2, 5), Fraction(4, 5)]
    opened.clear()
    assert look(tmp_path, opened, **known(cut)).clips == unmeasured(cut)
    assert opened == []


@pytest.mark.parametrize("seconds", [3, 60, 61, 119.96, 125.0003, 600])
@pytest.mark.parametrize("begin", [None, Fraction(1, 3), Fraction(2)])
def test_known_stretches_are_those_a_fresh_look_gives(
    seconds: float, begin: Fraction | None
) -> None:
    length = Fraction(seconds).limit_denominator(10_000)
    label = Label(identity="i", start=begin)
    fresh = list(stretches(label, length, Path("a.mp4"), []))
    digest = "ab" * 32
    content = {clip_id("a", digest, *s): content_hash(digest, *s, within(None, *s)) for s in fresh}
    found = KnownClips(content).stretches("a", digest, [label])
    # Ids round to 0.01 s: a third of a second is not found there again, and the file is opened.
    expected = None if begin == Fraction(1, 3) and len(fresh) > 1 else [fresh]
    assert found == expected
    assert KnownClips({}).stretches("a", digest, [label]) is None

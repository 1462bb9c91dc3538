"""The preference page over real HTTP, and the arithmetic of its table."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from flows.errors import NothingToDo
from flows.evaluation.people import marks_of
from flows.evaluation.places import generated_in, recorded_in
from flows.preferences.agreement import krippendorff_alpha
from flows.preferences.app import make_app
from flows.preferences.study import Study, open_study
from flows.preferences.table import result, write_table
from flows.preferences.votes import ASPECTS, BadVote, Vote, Votes

NAMES = ("p1_happy", "p2_sad", "p3", "p4", "p5", "p6")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    a, b = tmp_path / "ours", tmp_path / "theirs"
    for folder in (a, b):
        folder.mkdir()
        for name in NAMES:
            # The page never opens them: bytes that tell the folders apart are enough.
            (folder / f"{name}.mp4").write_bytes(f"{folder.name}/{name}".encode() * 50)
    (a / "alone.mp4").write_bytes(b"no twin")
    return a, b


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "votes"


@pytest.fixture
def study(folders: tuple[Path, Path], out: Path) -> Study:
    return open_study(folders, out)


@pytest.fixture
def client(study: Study, out: Path) -> TestClient:
    app = make_app(study, Votes(out), ("testserver",))
    return TestClient(app, follow_redirects=False, raise_server_exceptions=False)


def marks(left: int, right: int) -> dict[str, str]:
    return {f"{side}_{a}": str(v) for side, v in (("l", left), ("r", right)) for a in ASPECTS}


def enrolled(client: TestClient, study: Study, name: str) -> str:
    answer = client.post(f"/{study.token}/enrol", data={"name": name})
    assert answer.status_code == 303
    return answer.headers["location"]


def test_pairs_are_files_of_one_name_and_know_their_emotion(study: Study) -> None:
    assert [pair.name for pair in study.pairs] == list(NAMES)
    assert [pair.emotion for pair in study.pairs[:3]] == ["happy", "sad", ""]


def test_sides_are_balanced_within_a_rater_and_between_raters(study: Study) -> None:
    sides = {
        rater: {item.pair.name: item.a_left for item in study.order(rater)} for rater in range(4)
    }
    for rater in range(4):
        assert sum(sides[rater].values()) == len(NAMES) // 2
    for name in NAMES:
        assert [sides[rater][name] for rater in range(4)].count(True) == 2
        assert sides[0][name] != sides[1][name]
    assert len({tuple(i.pair.name for i in study.order(r)) for r in range(6)}) > 1


def test_a_study_goes_on_and_refuses_other_videos(
    folders: tuple[Path, Path], out: Path, study: Study
) -> None:
    assert open_study(folders, out) == study
    (folders[0] / "p3.mp4").write_bytes(b"another video")
    with pytest.raises(NothingToDo, match=r"'p3' is not what it was.*another --out"):
        open_study(folders, out)


def test_folders_without_twins_are_named(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NothingToDo, match=r"no video has its twin .*/empty: no \.mp4"):
        open_study((folders[0], empty), tmp_path / "x")
    with pytest.raises(NothingToDo, match="is no folder"):
        open_study((folders[0], tmp_path / "nowhere"), tmp_path / "x")


def evaluation(folder: Path, system: str, *clips: str) -> Path:
    """As `emohead evaluate` writes one."""
    for clip in clips:
        for path in (generated_in(folder, clip), recorded_in(folder, clip)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{system} {path.stem} {clip}".encode())
    rows = [{"clip": clip, "emotion": "sad" if clip == "c1" else "unlabelled"} for clip in clips]
    told = {"system": system, "cells": {clip: {} for clip in clips}, "tables": {"clips": rows}}
    (folder / "evaluation.json").write_text(json.dumps(told))
    return folder


def test_evaluations_of_the_same_clips_are_paired_as_they_lie(tmp_path: Path, out: Path) -> None:
    mine = evaluation(tmp_path / "run" / "evaluation", "emohead", "c1", "c2", "mine only")
    moee = evaluation(tmp_path / "evaluation-moee", "moee", "c1", "c2")
    study = open_study((tmp_path / "run", moee), out)
    assert study.names == ("emohead", "moee")
    assert [(p.name, p.emotion) for p in study.pairs] == [("c1", "sad"), ("c2", "")]
    assert Path(study.pairs[0].a) == generated_in(mine, "c1").resolve()
    assert open_study((mine, moee), out) == study
    # Two runs of one system are told apart by their folders.
    again = evaluation(tmp_path / "later", "moee", "c1")
    names = open_study((moee, again), tmp_path / "two").names
    assert names == (f"moee in {moee}", f"moee in {again}")


def test_three_choices_are_shown_two_by_two(tmp_path: Path, out: Path) -> None:
    folders = [
        evaluation(tmp_path / name, name, "c1", "c2", "c3", "c4") for name in ("ours", "moee")
    ]
    study = open_study(folders, out, truth=True)
    assert study.names == ("ours", "moee", "true videos")
    assert [pair.of for pair in study.pairs[:3]] == [(0, 1), (0, 2), (1, 2)]
    assert len({pair.name for pair in study.pairs}) == len(study.pairs) == 4 * 3
    assert sum(item.a_left for item in study.order(0)) == 6
    assert "reference" in Path(study.pairs[1].b).name
    assert open_study(folders, out, truth=True) == study
    client = TestClient(make_app(study, Votes(out), ("testserver",)), follow_redirects=False)
    root = enrolled(client, study, "one")
    worth = {0: 3, 1: 1, 2: 5}
    for place, item in enumerate(study.order(0)):
        page = client.get(f"{root}/{place}").text
        assert not any(name in page for name in ("ours", "moee", "true videos", "reference"))
        a, b = (worth[which] for which in item.pair.of)
        client.post(f"{root}/{place}", data=marks(a, b) if item.a_left else marks(b, a))
    told, text = write_table(out)
    assert [c["aspects"]["empathy"]["difference"]["mean"] for c in told["couples"]] == [2, -2, -4]
    assert {n: cell["mean"] for n, cell in told["marks"]["fidelity"].items()} == {
        "ours": 3, "moee": 1, "true videos": 5,
    }  # fmt: skip
    assert "| moee | true videos | Fidelity |" in text
    assert len((out / "table.csv").read_text().splitlines()) == 1 + 3 * 3
    # The page of an evaluation quotes the first choice.
    (out.parent / "preferences").symlink_to(out)
    mine = "3.00 (n = 8, no interval)"  # one rater
    assert marks_of(out.parent) == dict.fromkeys(("Fidelity", "Coherence", "Empathy"), mine)


def test_what_cannot_be_paired_is_told_with_the_cure(
    tmp_path: Path, folders: tuple[Path, Path], out: Path
) -> None:
    mine = evaluation(tmp_path / "mine", "emohead", "c1")
    other = evaluation(tmp_path / "other", "moee", "c2")
    with pytest.raises(NothingToDo, match=r"mine: c1 against .*other: c2\).* on one store"):
        open_study((mine, other), out)
    with pytest.raises(NothingToDo, match=r"ours is none .*`emohead evaluate` there first"):
        open_study((mine, folders[0]), out)
    with pytest.raises(NothingToDo, match=r"--truth takes .*ours is none"):
        open_study(folders, out, truth=True)
    with pytest.raises(NothingToDo, match="nothing to choose between; give another folder, or --t"):
        open_study((mine,), out)
    with pytest.raises(NothingToDo, match=r"2 choices and 3 names \(a, b, c\)"):
        open_study(folders, out, ("a", "b", "c"))
    with pytest.raises(NothingToDo, match="give each folder once"):
        open_study((mine, mine), out)
    generated_in(other, "c2").unlink()
    with pytest.raises(NothingToDo, match="holds no video of its 1 clips"):
        open_study((mine, other), out)
    assert not out.exists()


def test_a_rater_votes_through_all_pairs_and_comes_to_the_end(
    client: TestClient, study: Study, out: Path
) -> None:
    place = enrolled(client, study, "rater 1")
    for _ in NAMES:
        where = client.get(place).headers["location"]
        page = client.get(where)
        assert page.status_code == 200
        assert "ours" not in page.text
        assert "theirs" not in page.text
        assert client.post(where, data=marks(5, 1)).status_code == 303
    assert client.get(place).headers["location"].endswith("/end")
    told = result(out)
    assert told["votes"] == len(NAMES)
    # Left was always better, sides are balanced: no folder is, but the left bias is 4.
    assert told["aspects"]["fidelity"]["difference"]["mean"] == 0
    assert told["aspects"]["fidelity"]["left_bias"]["mean"] == 4


def test_a_vote_goes_to_the_folder_behind_the_side(
    client: TestClient, study: Study, out: Path
) -> None:
    root = enrolled(client, study, "one")
    item = study.order(0)[2]
    client.post(f"{root}/2", data=marks(4, 2))
    vote = Votes(out).latest()["one", item.pair.name]
    better = vote.a if item.a_left else vote.b
    assert (better["empathy"], vote.a_left) == (4, item.a_left)
    seen = re.findall(r'src="([^"]+/video/[^"]+)"', client.get(f"{root}/2").text)
    first = client.get(seen[0]).content.decode()
    assert first.startswith("ours/" if item.a_left else "theirs/")


def test_a_mark_can_be_changed_and_a_name_takes_on_where_it_stopped(
    client: TestClient, study: Study, out: Path
) -> None:
    root = enrolled(client, study, "Ann")
    client.post(f"{root}/0", data=marks(1, 1))
    client.post(f"{root}/0", data=marks(3, 3))
    assert len(Votes(out).latest()) == 1
    assert next(iter(Votes(out).latest().values())).a["fidelity"] == 3
    assert enrolled(client, study, "  Ann ") == root
    assert client.get(root).headers["location"] == f"{root}/1"
    assert "checked" in client.get(f"{root}/0").text
    assert "checked" not in client.get(f"{root}/1").text
    assert len(Votes(out).path.read_text().splitlines()) == 3  # rater, vote, vote: nothing is lost


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {k: v for k, v in marks(1, 1).items() if k != "r_empathy"},
        marks(6, 0),
        marks(-1, 0),
        marks(1, 1) | {"l_fidelity": "1.5"},
        marks(1, 1) | {"l_fidelity": "٣"},
    ],
)
def test_half_a_vote_is_not_taken(
    client: TestClient, study: Study, out: Path, wrong: dict[str, str]
) -> None:
    root = enrolled(client, study, "x")
    answer = client.post(f"{root}/0", data=wrong)
    assert answer.status_code == 422
    assert "all three marks" in answer.text
    assert not Votes(out).latest()


@pytest.mark.parametrize("name", ["", " ", "x" * 41, "<script>", "a\x00b"])
def test_names_that_are_none(client: TestClient, study: Study, name: str) -> None:
    answer = client.post(f"/{study.token}/enrol", data={"name": name})
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text


def test_nothing_without_the_token_and_no_file_by_path(
    client: TestClient, study: Study, folders: tuple[Path, Path]
) -> None:
    root = enrolled(client, study, "x")
    for path in ("/", "/wrong/", f"/{study.token[:-1]}/", "/wrong/0/0", "/wrong/file/style.css"):
        assert client.get(path).status_code == 404, path
    secret = folders[0] / "p3.mp4"
    for tried in (
        f"{root}/0/video/..%2f..%2fstudy.json",
        f"{root}/0/video/{secret}",
        f"{root}/0/video/%2e%2e/%2e%2e/study.json",
        f"{root}/0/video/{study.code(0, 1, 0)}",  # another pair's code
        f"{root}/0/video/{study.code(1, 0, 0)}",  # another rater's
        f"/{study.token}/file/..%2fapp.py",
        f"/{study.token}/file/app.py",
        f"/{study.token}/file/%2e%2e%2fstudy.py",
        f"{root}/99",
        f"/{study.token}/7/0",
        f"/{study.token}/-1/0",
    ):
        answer = client.get(tried)
        assert answer.status_code in (404, 422), tried
        assert b"ours" not in answer.content


def test_only_this_machine_is_answered(client: TestClient, study: Study) -> None:
    foreign = client.get(f"/{study.token}/", headers={"host": "evil.example"})
    assert foreign.status_code == 400


def test_videos_come_in_ranges_and_anonymous(client: TestClient, study: Study) -> None:
    root = enrolled(client, study, "x")
    url = f"{root}/0/video/{study.code(0, 0, 0)}"
    whole = client.get(url)
    part = client.get(url, headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    said = json.dumps(dict(whole.headers))
    assert "ours" not in said
    assert "theirs" not in said
    assert whole.headers["last-modified"].endswith("1970 00:00:00 GMT")
    assert "default-src 'none'" in client.get(f"{root}/0").headers["content-security-policy"]


def test_votes_survive_a_torn_line(out: Path, study: Study) -> None:
    votes = Votes(out)
    votes.enrol("a")
    same: dict[str, int] = {aspect: 2 for aspect in ASPECTS}  # noqa: C420
    votes.cast(Vote("a", "p3", same, same, True, 0.0))
    with votes.path.open("ab") as file:
        file.write(b'{"kind": "vote", "rater": "a", "pa')  # the power went
    votes.cast(Vote("a", "p4", same, same, True, 1.0))
    assert set(votes.latest()) == {("a", "p3"), ("a", "p4")}


def test_marks_are_whole_numbers() -> None:
    same: dict[str, int] = {aspect: 2 for aspect in ASPECTS}  # noqa: C420
    with pytest.raises(BadVote, match="fidelity = True"):
        Vote("a", "p", same | {"fidelity": True}, same, True, 0.0)
    with pytest.raises(BadVote, match="empathy = None"):
        Vote("a", "p", dict.fromkeys(ASPECTS[:2], 1), same, True, 0.0)


def test_the_table_by_hand(out: Path, study: Study) -> None:
    votes = Votes(out)
    for rater, better in (("r0", 4), ("r1", 2)):
        votes.enrol(rater)
        for pair in NAMES[:2]:
            a = {"fidelity": better, "coherence": 3, "empathy": 0}
            b = {"fidelity": 1, "coherence": 3, "empathy": 5}
            votes.cast(Vote(rater, pair, a, b, True, 0.0))
    told, text = write_table(out)
    fidelity = told["aspects"]["fidelity"]
    assert (fidelity["a"]["mean"], fidelity["b"]["mean"]) == (3, 1)
    assert fidelity["difference"]["mean"] == 2
    assert (fidelity["a_better"], fidelity["tie"], fidelity["b_better"]) == (1, 0, 0)
    assert fidelity["difference"]["low"] == 1  # both draws r1
    assert fidelity["difference"]["high"] == 3  # both draws r0
    assert told["aspects"]["coherence"]["tie"] == 1
    assert told["aspects"]["empathy"]["agreement"] == 1  # 0 for every A, 5 for every B
    assert told["open"] == 2 * len(NAMES) - 4
    assert "| Fidelity | 3.00 [2.00, 4.00]" in text


def test_no_vote_no_table(out: Path, study: Study) -> None:
    with pytest.raises(NothingToDo, match="no vote yet"):
        result(out)
    with pytest.raises(NothingToDo, match="holds no study"):
        result(out / "elsewhere")


def test_krippendorff_by_hand() -> None:
    # Two raters, items (1,1) and (2,4). Observed: item 2 alone, 2·(2²)/1 = 8, over 4 values: 2.
    # Expected: ordered pairs of 1,1,2,4: 2·(0+1+9+1+9+4) = 48, over 4·3: 4. Alpha = 1 − 2/4.
    assert krippendorff_alpha(np.array([[1.0, 2.0], [1.0, 4.0]])) == pytest.approx(0.5)
    assert krippendorff_alpha(np.array([[1.0, 5.0], [1.0, 5.0]])) == 1
    assert krippendorff_alpha(np.array([[1.0, np.nan], [np.nan, 5.0]])) is None
    assert krippendorff_alpha(np.array([[3.0, 3.0], [3.0, 3.0]])) is None

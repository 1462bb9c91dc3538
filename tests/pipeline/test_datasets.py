"""Each corpus's names, against its real metadata where that is at hand."""

import csv
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import CANONICAL, CORPORA, canonical
from pipeline.datasets.crema_d import BAD
from pipeline.datasets.plain import read_table
from pipeline.errors import InputError

ROOT = Path("/data")


def label(corpus: str, name: str) -> Any:
    return CORPORA[corpus](ROOT / name, ROOT)


@pytest.mark.parametrize(
    ("name", "who", "emotion", "level", "view"),
    [
        ("M030_front_angry_level3_001.mp4", "M030", "angry", 3, "front"),
        ("M030/video/left_30/surprised/level_2/014.mp4", "M030", "surprised", 2, "left_30"),
        ("W009/video/front/fear/level_3/007.mp4", "W009", "fear", 3, "front"),
        ("M003#disgusted#level_1#001.mp4", "M003", "disgusted", 1, "front"),
        ("M003_ang_3_001.mp4", "M003", "angry", 3, "front"),
        ("M030_sad_3_001_1080p.mp4", "M030", "sad", 3, "front"),
    ],
)
def test_mead_in_its_four_spellings(name: str, who: Any, emotion: Any, level: Any, view: Any):
    found = label("mead", name)
    assert (found.identity, found.emotion, found.intensity, found.view) == (
        *(who, emotion, level, view),
    )


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("M030_front_neutral_level1_030.mp4", "train"),
        ("M030_front_neutral_level1_031.mp4", "test"),
        ("M030_front_sad_level3_024.mp4", "train"),
        ("M030_front_sad_level3_025.mp4", "test"),
    ],
)
def test_mead_tests_on_the_last_sentences(name: str, split: Any):
    assert label("mead", name).split == split


def test_ravdess():
    found = label("ravdess", "01-01-07-02-02-01-01_640x480.mp4")
    assert (found.identity, found.emotion, found.intensity) == ("ravdess_01", "disgusted", 2)
    assert found.transcript.text == "Dogs are sitting by the door"
    assert found.transcript.source == "known"
    assert label("ravdess", "03-01-06-01-02-01-12.mp4").bad == "RAVDESS modality 03: audio only"
    assert "no strong neutral" in label("ravdess", "01-01-01-02-02-01-12.mp4").bad
    assert label("ravdess", "01-01-09-02-02-01-01.mp4") is None


def test_crema_d_reads_every_name_of_the_corpus(shared_data: Path):
    table = shared_data / "metadata" / "crema_d" / "SentenceFilenames.csv"
    with table.open() as file:
        names = [row["Filename"] for row in csv.DictReader(file)]
    labels = {name: label("crema_d", f"VideoFlash/{name}.flv") for name in names}
    assert len(labels) == 7442
    assert not [name for name, found in labels.items() if found is None]
    assert len({found.identity for found in labels.values()}) == 91
    assert {found.emotion for found in labels.values()} == {
        *("neutral", "angry", "disgusted", "fear", "happy", "sad"),
    }
    assert {name for name, found in labels.items() if found.bad} == set(BAD)
    assert labels["1001_DFA_ANG_XX"].transcript.text == "Don't forget a jacket"
    levels = {found.intensity for name, found in labels.items() if "_IEO_" not in name}
    assert levels == {None}


def test_grid():
    found = label("grid", "s4/bbaf2n.mpg")
    assert (found.identity, found.emotion) == ("grid_s4", "neutral")
    assert found.transcript.text == "bin blue at f two now"
    assert label("grid", "abcdef.mpg") is None
    deeper = label("grid", "s12/video/mpg_6000/bbaf2n.mpg")
    assert deeper.identity == "grid_s12"
    # nobody says who speaks: two files are never taken for one person
    loose = [label("grid", f"videos/{code}.mpg").identity for code in ("bbaf2n", "lrwp9a")]
    assert loose == ["grid_bbaf2n", "grid_lrwp9a"]


def test_hdtf_merges_the_videos_of_a_person_and_keeps_radio_guests_apart(shared_data: Path):
    assert label("hdtf", "WDA_KatieHill_000.mp4").identity == "KatieHill"
    assert label("hdtf", "WDA_DebbieDingell1_002.mp4").identity == "DebbieDingell"
    assert label("hdtf", "RD_Radio10_000.mp4").identity == "Radio10"
    urls = (shared_data / "metadata" / "hdtf" / "WDA_video_url.txt").read_text("utf-8-sig")
    people = [line.split()[0] for line in urls.splitlines() if line.strip()]
    for person in people:
        assert label("hdtf", f"WDA_{person}_000.mp4").identity == person.rstrip("0123456789")


@pytest.mark.parametrize(
    ("name", "who", "emotion"),
    [
        ("Obama_clip1.mkv", "Obama", None),
        ("obama/Obama_clip2.mkv", "Obama", None),
        ("video_retalking_face3.mp4", "video_retalking_face3", None),
        ("001_happy_038.mp4", "001", "happy"),
        ("alice_angry_take2.mp4", "alice", "angry"),
        ("alice/clip_01.mp4", "alice", None),
        ("bob/0007.mp4", "bob", None),
        ("0007.mp4", "0007", None),
        ("d0.mp4", "d0", None),
        ("sad.mp4", "sad", None),
    ],
)
def test_plain_names(name: str, who: Any, emotion: Any):
    found = label("plain", name)
    assert (found.identity, found.emotion) == (who, emotion)


@pytest.mark.parametrize("corpus", ["mead", "ravdess", "crema_d", "grid", "hdtf", "dh_faceemovid"])
@pytest.mark.parametrize("name", ["holiday.mp4", "clip_01.mp4", "a/b/c.mp4", "1.mp4", "._x.mp4"])
def test_no_corpus_claims_a_free_name(corpus: Any, name: str):
    assert label(corpus, name) is None


@pytest.mark.parametrize(
    ("name", "who", "emotion", "sentence"),
    [
        ("001_happy_038.mp4", "dh_001", "happy", "happy-038"),
        ("018_fear_51.mp4", "dh_018", "fear", "fear-051"),  # not padded
        ("018_fear_051.mp4", "dh_018", "fear", "fear-051"),
        ("007_Surprise-Fear_3.mp4", "dh_007", None, "surprise-fear-003"),  # a compound
    ],
)
def test_dh_faceemovid(name: str, who: Any, emotion: Any, sentence: Any):
    found = label("dh_faceemovid", name)
    assert (found.identity, found.emotion, found.sentence) == (who, emotion, sentence)


@pytest.mark.parametrize("name", ["1_happy_3.mp4", "001_bored_038.mp4", "001_happy.mp4"])
def test_dh_faceemovid_claims_nothing_else(name: str):
    assert label("dh_faceemovid", name) is None


def test_hdtf_reads_every_name_of_its_own_lists(shared_data: Path):
    listed = (shared_data / "metadata" / "hdtf" / "WDA_crop_wh.txt").read_text().splitlines()
    names = [line.split()[0] for line in listed if line.strip()]
    assert len(names) > 100
    for name in names:
        found = label("hdtf", f"HDTF/{name}")
        assert found.identity == name.rsplit("_", 1)[0].rstrip("0123456789")
        assert label("hdtf", name) is None  # elsewhere such a name is anybody's
    assert label("hdtf", "HDTF/Radio10_3.mp4").identity == "Radio10"


def test_crema_d_against_its_crowd(shared_data: Path):
    """The label is what was acted; the crowd saw it (or saw it among others) in three of four."""
    from pipeline.datasets.crema_d import VOTES

    with (shared_data / "metadata" / "crema_d" / "summaryTable.csv").open() as file:
        rows = list(csv.DictReader(file))
    seen = []
    for row in rows:
        found = label("crema_d", f"{row['FileName']}.flv")
        seen.append(found.emotion in {VOTES[vote] for vote in row["MultiModalVote"].split(":")})
    assert len(rows) == 7442
    assert 0.7 < sum(seen) / len(seen) < 0.8


def test_crema_d_actors_are_those_of_its_table(shared_data: Path):
    with (shared_data / "metadata" / "crema_d" / "VideoDemographics.csv").open() as file:
        actors = {f"crema_{row['ActorID']}" for row in csv.DictReader(file)}
    with (shared_data / "metadata" / "crema_d" / "SentenceFilenames.csv").open() as file:
        names = [row["Filename"] for row in csv.DictReader(file)]
    assert {label("crema_d", f"{name}.flv").identity for name in names} == actors


def test_crema_d_knows_the_bad_files_its_readme_names(shared_data: Path):
    text = (shared_data / "metadata" / "crema_d" / "README.md").read_text()
    assert all(name in text for name in ("1076_MTI_NEU_XX", "1076_MTI_SAD_XX"))
    assert all(label("crema_d", f"{name}.flv").bad for name in BAD)


def test_ravdess_spells_what_its_readme_says(shared_data: Path):
    text = (shared_data / "metadata" / "ravdess" / "README_naming.txt").read_text()
    told = re.search(r"Emotion \((.*?)\)", text)
    assert told is not None
    for item in told[1].split(","):
        code, word = (part.strip() for part in item.split("="))
        assert label("ravdess", f"01-01-{code}-01-01-01-01.mp4").emotion == canonical(word)
    for code, words in re.findall(r'(0\d) = "(.*?)"', text):
        assert label("ravdess", f"01-01-03-01-{code}-01-01.mp4").transcript.text == words


def test_grid_spells_its_whole_grammar():
    import itertools

    slots = ("blps", "bgrw", "abiw", "abcdefghijklmnopqrstuvxyz", "z123456789", "anps")
    codes = ["".join(code) for code in itertools.product(*slots)]
    assert len(codes) == 64_000
    texts = {label("grid", f"s1/{code}.mpg").transcript.text for code in codes[::97]}
    assert len(texts) == len(codes[::97])
    assert all(len(text.split()) == 6 for text in texts)
    assert label("grid", "s1/bbwzzn.mpg").transcript.text == "bin blue with z zero now"
    assert label("grid", "s1/bbawzn.mpg") is None  # there is no letter w


def test_a_parquet_table_says_what_a_csv_does(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "file": ["a.mp4", "b.mp4"],
        "identity": ["ann", None],
        "intensity": [2.0, None],
        "start": [0.5, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "clips.parquet")
    told = read_table(tmp_path)
    (first,) = told[tmp_path / "a.mp4"]
    assert (first.identity, first.intensity, first.start) == ("ann", 2, Fraction(1, 2))
    assert told[tmp_path / "b.mp4"][0].identity == "b"
    (tmp_path / "clips.csv").write_text("file\na.mp4\n")
    with pytest.raises(InputError, match=r"both clips\.csv and clips\.parquet; keep one"):
        read_table(tmp_path)
    (tmp_path / "clips.csv").unlink()
    (tmp_path / "clips.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"clips\.parquet cannot be read"):
        read_table(tmp_path)


def test_labels_have_one_spelling():
    for word in ("Disgust", "DIS", "disgusted"):
        assert canonical(word) == "disgusted"
    assert canonical("bored") is None
    assert all(canonical(tag) == tag for tag in CANONICAL)


def test_a_table_names_and_cuts(tmp_path: Path):
    (tmp_path / "clips.csv").write_text(
        "file,identity,emotion,intensity,start,end,transcript\n"
        "a.mp4,ann,Disgust,2,0,1.5,hello there\n"
        "a.mp4,ann,neutral,,1.5,,\n"
    )
    first, second = (vars(row) for row in read_table(tmp_path)[tmp_path / "a.mp4"])
    assert (first["identity"], first["emotion"], first["intensity"]) == ("ann", "disgusted", 2)
    assert (first["start"], first["end"]) == (0, Fraction(3, 2))
    assert first["transcript"].text == "hello there"
    assert (second["end"], second["intensity"], second["transcript"]) == (None, None, None)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("name,emotion\na.mp4,sad\n", "`file` is needed"),
        ("file,mood\na.mp4,sad\n", "only file, identity"),
        ("file,emotion\na.mp4,bored\n", "clips.csv row 2: emotion 'bored' is unknown; use neutral"),
        ("file,start\na.mp4,soon\n", "row 2, start: 'soon' is no time"),
        ("file,start,end\na.mp4,2,1\n", r"row 2: from 2\.0 s to 1\.0 s is no stretch"),
        ("file,intensity\na.mp4,high\n", "intensity 'high' is no level"),
    ],
)
def test_a_table_that_lies_names_its_row_and_the_cure(tmp_path: Path, table: Any, reason: Any):
    (tmp_path / "clips.csv").write_text(table)
    with pytest.raises(InputError, match=reason):
        read_table(tmp_path)

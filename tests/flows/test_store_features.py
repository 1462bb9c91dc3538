"""Which features a training reads: those of the profile that made the store, unless told."""

from pathlib import Path

import numpy as np
import pytest

import store
from flows.config import AudioExpressionFlowConfig, EvaluateConfig, SynthesizeConfig
from flows.features import FeatureNames
from flows.store_features import (
    expression_of,
    listening_profile,
    made_by,
    named,
    names_in,
    profile_of_store,
)
from pipeline.errors import ProfileError
from pipeline.profiles import load_profile
from store import Cache, ClipRow, ClipWrite, EncoderKey, FeatureSchema

MAKERS = {
    "audio/waveform": "waveform",
    "audio/logmel": "logmel",
    "audio/hubert_large": "hubert",
    "emotion/prosody": "prosody",
    "text/minilm": "minilm",
    "expression/semantic": "semantic",
    "expression/3ddfa": "ddfa",
    "parsing/selfie": "selfie",
    "face/mar": "mar",
}
PAPER = ("audio/hubert_large", "expression/3ddfa")


def add(cache: Cache, clip: str, features: tuple[str, ...], profile: str, dataset: str) -> None:
    """One clip of four frames, every value 0, as `preprocess` with a profile would leave it."""
    schemas = {f: FeatureSchema(f, (2,), "float32", float("nan")) for f in features}
    keys = {f: EncoderKey(f, {"encoder": MAKERS[f], "config": {}, "weights": {}}) for f in features}
    metadata = {"flow": "preprocess", "profile": profile}
    with cache.write(dataset, schemas, "by hand", metadata, encoders=keys) as session:
        row = ClipRow(clip, clip, 4, dict.fromkeys(features, "made"))
        (batch,) = session.allocate([row])
        fork = session.fork(batch)
        arrays = {f: np.zeros((4, 2), np.float32) for f in features}
        store.write_clip(fork, ClipWrite(clip, 4, arrays))
        session.merge(fork)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A store made with the embedded profile, into which two paper encoders were rolled out."""
    cache = Cache.open(tmp_path / "store", create=True)
    embedded = tuple(f for f in MAKERS if f not in PAPER)
    add(cache, "a", embedded, "embedded", "clips")
    add(cache, "b", tuple(MAKERS), "embedded+ddfa+hubert", "clips")
    add(cache, "c", embedded, "embedded", "others")
    return cache


def test_the_profile_that_wrote_last_decides_and_the_paper_comes_first(cache: Cache) -> None:
    snapshot = cache.snapshot()
    assert profile_of_store(cache, "main", "clips") == "embedded+ddfa+hubert"
    assert profile_of_store(cache, "main", "others") == "embedded"
    found = names_in(snapshot, "clips", "embedded+ddfa+hubert")
    assert (found.audio, found.expression) == PAPER
    # what no encoder of the paper made is the stand-in's
    assert (found.emotion, found.text, found.parsing) == (
        "emotion/prosody", "text/minilm", "parsing/selfie",
    )  # fmt: skip
    assert names_in(snapshot, "clips", "embedded") == FeatureNames()
    assert names_in(snapshot, "nothing", "embedded") == FeatureNames()
    assert expression_of(cache, "clips") == "expression/3ddfa"
    assert expression_of(cache, "clips", profile="embedded") == "expression/semantic"
    assert expression_of(cache, "clips", "expression/mine") == "expression/mine"
    with pytest.raises(ProfileError, match="no profile 'papyrus'"):
        names_in(snapshot, "clips", "papyrus")


def test_what_is_told_stays(cache: Cache, tmp_path: Path) -> None:
    base = {"store": cache.location, "out": tmp_path / "out"}
    plain = AudioExpressionFlowConfig.model_validate(base)
    assert named(plain, cache, cache.snapshot()).names.audio == "audio/hubert_large"
    embedded = AudioExpressionFlowConfig.model_validate(base | {"profile": "embedded"})
    assert named(embedded, cache, cache.snapshot()).names == FeatureNames()
    partly = AudioExpressionFlowConfig.model_validate(base | {"names": {"audio": "audio/logmel"}})
    found = named(partly, cache, cache.snapshot()).names
    assert (found.audio, found.expression) == ("audio/logmel", "expression/3ddfa")
    # a network that is not there (evaluate names it "not measured") says nothing
    judged = EvaluateConfig.model_validate(base | {"network": tmp_path / "no", "heads": tmp_path})
    assert named(judged, cache, cache.snapshot()).names.audio == "audio/hubert_large"


def test_the_encoders_that_made_the_store_listen_with_their_settings(tmp_path: Path) -> None:
    profile = load_profile("embedded", logmel={"mels": 24})
    cache = Cache.open(tmp_path / "store", create=True)
    features = ("audio/logmel", "emotion/prosody", "text/minilm")
    keys = {f: EncoderKey(f, profile.identity_of(f)) for f in features}
    schemas = {f: FeatureSchema(f, (2,), "float32", float("nan")) for f in features}
    with cache.write("clips", schemas, "by hand", {}, encoders=keys) as session:
        (batch,) = session.allocate([ClipRow("a", "a", 4, dict.fromkeys(features, "made"))])
        fork = session.fork(batch)
        arrays = {f: np.zeros((4, 2), np.float32) for f in features}
        store.write_clip(fork, ClipWrite("a", 4, arrays))
        session.merge(fork)
    snapshot = cache.snapshot()
    assert made_by(snapshot, "clips", "audio/logmel")["config"]["mels"] == 24
    heard = listening_profile(snapshot, "clips", FeatureNames())
    for feature in features:
        assert heard.identity_of(feature) == profile.identity_of(feature)
    other = listening_profile(snapshot, "clips", FeatureNames(), None, {"logmel": {"mels": 32}})
    assert other.specs["audio/logmel"].shape == (2, 96)
    assert SynthesizeConfig.model_fields["profile"].default is None

import json
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from flows.choices import choose_identity, write_wav
from flows.config import EvaluateConfig, MainJobConfig
from flows.errors import NothingToDo
from flows.evaluate import evaluate
from flows.features import FeatureNames
from flows.main_job import main_job
from flows.orchestra import call
from models.errors import EmotionError
from pipeline.samples import heldout_speech
from store import Cache

QUICK = {
    "network_settings": {"steps": 12, "validate_every": 12, "save_every": 12, "d": 32, "d_h": 32},
    "head_settings": {"seconds": None, "steps": 12, "rays": 256},
}


@pytest.fixture(scope="module")
def short_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 1.2 s of a sentence that no clip speaks."""
    with wave.open(str(heldout_speech("iris"))) as file:
        samples = np.frombuffer(file.readframes(19_200), np.int16)
    path = tmp_path_factory.mktemp("speech") / "short.wav"
    write_wav(path, samples)
    return path


def config(clips: Path, out: Path, speech: Path, **more: object) -> MainJobConfig:
    base = {"data": clips, "out": out, "audio": speech, "size": 128, "render_size": 64}
    return MainJobConfig.model_validate(base | QUICK | more)


@pytest.mark.usefixtures("warm")
def test_videos_become_a_speaking_head_and_a_second_run_computes_nothing(
    sample_clips: Path, short_speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job = config(sample_clips, out, short_speech, emotion="sad@0-0.4, happy@0.8-1.2")
    first = call(main_job, job)

    with av.open(str(out / "video.mp4")) as video:
        frames = sum(1 for _ in video.decode(video=0))
        assert video.streams.audio[0].codec_context.name == "aac"
    assert frames == 30  # 1.2 s
    with av.open(str(out / "video.mp4")) as video:
        sound = np.concatenate([f.to_ndarray()[0] for f in video.decode(audio=0)])
    assert len(sound) >= 30 * 640
    assert np.abs(sound).max() > 0.01

    # The emotion moves from one side to the other.
    arrays = np.load(out / "video.npz")
    tags = list(arrays["tags"])
    happy = arrays["margin"][:, tags.index("happy")]
    sad = arrays["margin"][:, tags.index("sad")]
    assert sad[:8].mean() > sad[-8:].mean()
    assert happy[-8:].mean() > happy[:8].mean()
    assert happy[-5:].min() > 0

    page = (out / "report.html").read_text()
    assert page.count("data:image/") >= 5
    record = json.loads((out / "run.json").read_text())
    assert record["head_metrics"]["psnr"] > 0
    assert record["snapshot"] == first["snapshot"]

    again = call(main_job, job)
    assert again["preprocess"]["planned"] == 0
    assert again["network"]["reused"]
    assert again["head"]["reused"]
    assert "Nothing had to be computed" in (out / "report.html").read_text()

    # The same numbers as a flow of its own, as tables.
    judged = EvaluateConfig(
        store=job.store,
        network=out / "network",
        heads=out / "heads",
        frames=2,
        clips=1,
        out=out / "e",
    )
    scored = call(evaluate, judged)
    # Of so few clips, network and head may hold out none alike; then that is said.
    reasons = scored["not measured"]
    assert set(reasons) <= {first["identity"]}
    assert all("held out by network and head alike" in why for why in reasons.values())
    ours = {row["method"]: row for row in scored["tables"]["table-1"]}
    assert ours["EmoHead (quoted)"]["PSNR"] == "28.262"
    assert all(row["generated"] for row in scored["tables"]["means"])
    page = (out / "e" / "evaluation.html").read_text()
    assert "cannot be compared" in page
    clips = scored["tables"]["clips"]
    assert page.count("<video") == 2 * len(clips)
    assert len(clips) + len(reasons) == 1
    if clips:
        assert clips[0]["PSNR [dB]"] > 5
        repeated = call(evaluate, judged.model_copy(update={"against": (out / "e",)}))
        assert repeated["reused"] == 1
        assert repeated["tables"]["against"][0]["verdict"] == "the same"
    (head,) = scored["tables"]["heads"]
    assert head["identity"] == first["identity"]
    assert head["psnr"] > 0
    assert {row["emotion"] for row in scored["tables"]["hyperplanes"]} == {"happy", "sad"}
    assert (out / "e" / "network.csv").read_text().startswith("held out,")

    with pytest.raises(EmotionError, match="hapy"):
        call(main_job, config(sample_clips, out, short_speech, emotion="hapy@0-1"))
    snapshot = Cache.open(job.store).snapshot()
    with pytest.raises(NothingToDo, match="iris, milo"):
        choose_identity(snapshot, "clips", FeatureNames(), "nobody")

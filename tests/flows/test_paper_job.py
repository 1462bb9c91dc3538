"""The whole job on the paper's encoders: tiny random networks in the real folder formats, 3DDFA and
its statistics for real."""

import importlib.util
import json
import shutil
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from flows.choices import write_wav
from flows.cli import app
from models import load
from pipeline.samples import heldout_speech
from pipeline.weights import Shelf
from store import Cache

PIPELINE_TESTS = Path(__file__).resolve().parents[1] / "pipeline"
RUN = ("--size", "128", "--train", "network.steps=12", "--train", "network.validate_every=12",
       "--train", "network.save_every=12", "--train", "network.d=32", "--train", "network.d_h=32",
       "--train", "head.steps=12", "--train", "head.rays=256")  # fmt: skip


def kit(name: str) -> ModuleType:
    """The tiny weights are those that the encoders' own tests are run on."""
    spec = importlib.util.spec_from_file_location(f"kit_{name}", PIPELINE_TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf with HuBERT, emotion2vec, LLaMA (16-32 channels) and the published 3DDFA."""
    from transformers import HubertConfig, HubertModel

    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    torch.manual_seed(0)
    settings = HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("hubert")
    HubertModel(settings).save_pretrained(folder)
    shelf.add("hubert_base", folder)
    shelf.add("llama2_7b", kit("test_speech_networks").llama_folder(folder.parent / "llama", True))
    funasr = kit("test_funasr")
    model = funasr.funasr_tables().model_classes["Emotion2vec"](
        model_conf=json.loads(json.dumps(funasr.EMOTION2VEC)), vocab_size=-1
    )
    folder = tmp_path_factory.mktemp("emotion2vec")
    text = yaml.safe_dump({"model": "Emotion2vec", "model_conf": funasr.EMOTION2VEC})
    (folder / "config.yaml").write_text(text.replace("1.0e-05", "1e-05"))
    state = {f"d2v_model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"model": state | {"_ema": torch.zeros(1)}}, folder / "model.pt")
    shelf.add("emotion2vec_base", folder)
    shelf.add("3ddfa_mb05", shared_data / "weights" / "3ddfa_v2")
    return shelf.folder


def speech(folder: Path) -> Path:
    """The first 1.2 s of a sentence that no clip speaks."""
    with wave.open(str(heldout_speech("iris"))) as file:
        samples = np.frombuffer(file.readframes(19_200), np.int16)
    write_wav(folder / "short.wav", samples)
    return folder / "short.wav"


def emohead(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # FunASR's own, of many kinds
@pytest.mark.parametrize(
    ("profile", "more", "names"),
    [
        (
            "embedded+ddfa",
            (),
            {"audio": "audio/logmel", "expression": "expression/3ddfa", "text": "text/minilm"},
        ),
        (
            "paper-bisenet+selfie",
            ("--set", "llama.recogniser=pocketsphinx"),
            {"audio": "audio/hubert_base", "emotion": "emotion/emotion2vec_base",
             "expression": "expression/3ddfa", "text": "text/llama2_7b"},
        ),
    ],
)  # fmt: skip
def test_a_profile_is_trained_and_spoken_with(
    sample_clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch,
    profile: str, more: tuple[str, ...], names: dict[str, str],
) -> None:  # fmt: skip
    if profile.startswith("paper"):
        pytest.importorskip("funasr", reason="FunASR comes with emohead[paper]")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with emohead[paper]")
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(weights))
    out, said = tmp_path / "out", speech(tmp_path)
    emohead("run", str(sample_clips), "--out", str(out), "--profile", profile, *more, *RUN,
            "--audio", str(said), "--emotion", "sad@0-0.4, happy@0.8-1.2")  # fmt: skip
    assert (out / "report.html").is_file()
    checkpoint = load(out / "network")
    told = checkpoint.state["provenance"]["features"]
    assert {part: told[part] for part in names} == names
    # each stage alone finds the same: nothing is trained anew
    trained = json.loads(emohead("train", "network", "--out", str(out), "--preset", "demo",
                                 "--json", *RUN[2:-4]))  # fmt: skip
    assert trained["reused"]
    trained = json.loads(emohead("train", "head", "--identity", "iris", "--out", str(out),
                                 "--preset", "demo", "--json", *RUN[-4:]))  # fmt: skip
    assert trained["reused"]
    planes = json.loads(emohead("fit-hyperplanes", "--out", str(out), "--json"))
    assert planes["reused"]
    # speaking needs the encoders that hear, and no others
    spoken = tmp_path / "shelf"
    shutil.copytree(weights, spoken)
    shutil.rmtree(spoken / "3ddfa_mb05")
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(spoken))
    again = json.loads(emohead("synthesize", "--identity", "iris", "--audio", str(said), "--out",
                               str(out), "--video", str(tmp_path / "b.mp4"), "--json"))  # fmt: skip
    assert again["frames"] == 30
    assert Cache.open(str(out / "store")).validate().ok

"""The paper's encoders in profiles: composed, held against the shelf, run beside the others."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import ProfileError, WeightError
from pipeline.process import process_clip
from pipeline.profile_tables import ENCODERS, PROFILES
from pipeline.profiles import encoder_names, load_profile
from pipeline.scan import scan
from pipeline.weights import KNOWN, Shelf

MEAD = "mead/M030_front_surprised_level3_001.mp4"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Only HuBERT, tiny and random."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    settings = HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("hubert")
    HubertModel(settings).save_pretrained(folder)
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.add("hubert_base", folder)
    return shelf


def test_names_compose() -> None:
    assert encoder_names("embedded") == PROFILES["embedded"]
    assert set(encoder_names("embedded+hubert-logmel")) == (
        set(PROFILES["embedded"]) | {"hubert"}
    ) - {"logmel"}
    assert {name for names in PROFILES.values() for name in names} <= set(ENCODERS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("papers", "no profile 'papers'; there are embedded, paper"),
        ("embedded+hubart", r"no encoder 'hubart'; there are .*hubert"),
        ("embedded+mar", "mar is already in it"),
        ("paper-logmel", "logmel is not in it"),
        ("embedded-facemesh", "without their inputs.*face/landmarks"),
    ],
)
def test_what_does_not_compose_is_said(name: str, reason: str) -> None:
    with pytest.raises(ProfileError, match=reason):
        load_profile(name)


def test_everything_that_is_missing_is_said_at_once_with_its_cure(shelf: Shelf) -> None:
    with pytest.raises(WeightError) as caught:
        load_profile("paper", weights=shelf.folder)
    said = str(caught.value)
    wanted = ("3ddfa_mb05", "bisenet", "emotion2vec_base", "llama2_7b", "sensevoice_small")
    for name in wanted:
        assert f"emohead weights add {name} PATH" in said
        assert KNOWN[name].source in said
    assert "weights add hubert_base" not in said  # it is there
    assert "'paper-ddfa-bisenet-emotion2vec-llama'" in said
    rest = load_profile("paper-ddfa-bisenet-emotion2vec-llama", weights=shelf.folder)
    assert "audio/hubert_base" in rest.specs
    with pytest.raises(WeightError, match="Without these encoders it is 'embedded'"):
        load_profile("embedded+ddfa", weights=shelf.folder)


def test_a_library_that_is_missing_is_said_before_any_work(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "funasr" else real(name)
    )
    with pytest.raises(WeightError, match=r"emotion2vec: funasr is not installed: `pip install"):
        load_profile("embedded+emotion2vec", weights=shelf.folder)


def test_encoders_run_side_by_side_and_know_their_weights(
    shelf: Shelf, shared_data: Path, tmp_path: Path
) -> None:
    """One store's worth: embedded, HuBERT (tiny), and 3DDFA with its real weights."""
    both = Shelf(tmp_path / "shelf")
    both.add("hubert_base", shelf.folder / "hubert_base")
    both.add("3ddfa_mb05", shared_data / "weights" / "3ddfa_v2")
    # ONNX Runtime comes with emohead[paper] only
    settings = {"runtime": "torch"}
    profile = load_profile("embedded+ddfa+hubert", weights=both.folder, ddfa=settings)
    assert profile.specs["audio/hubert_base"].shape == (2, 16)
    assert profile.specs["audio/logmel"].shape == (2, 240)
    hashes = profile.identity_of("expression/3ddfa")["weights"]
    assert hashes["3ddfa_mb05/mb05_120x120.pth"].startswith("f93ed7f1")
    assert profile.upstream("expression/3ddfa") == ("face/landmarks",)

    clip = shared_data / "real" / MEAD
    wanted = ["expression/3ddfa", "shape/3ddfa", "expression/semantic", "audio/hubert_base"]
    result = process_clip(scan(clip).clips[0], wanted, profile)
    assert result.rejected == {"audio/hubert_base": "no audio stream"}
    jaw = result.arrays["expression/semantic"][:, 0]
    ddfa = result.arrays["expression/3ddfa"]
    assert np.isfinite(ddfa).all()
    # two encoders that share nothing but landmarks' place agree on when the mouth opens
    best = max(abs(np.corrcoef(jaw, ddfa[:, k])[0, 1]) for k in range(10))
    assert best > 0.8
    # one person: the shape hardly moves
    shape = result.arrays["shape/3ddfa"]
    assert shape[:, 0].std() < 0.5 * abs(shape[:, 0]).max()


def test_text_of_the_embedded_profile_may_be_heard_by_another(shelf: Shelf) -> None:
    plain = load_profile("embedded").identity_of("text/minilm")
    same = load_profile("embedded", minilm={"recogniser": "pocketsphinx"})
    assert same.identity_of("text/minilm") == plain
    assert "recogniser" not in plain["config"]
    with pytest.raises(WeightError, match=r"minilm: sensevoice_small .* is not in"):
        load_profile("embedded", weights=shelf.folder, minilm={"recogniser": "sensevoice_small"})


def test_other_weights_are_another_fingerprint(shelf: Shelf, tmp_path: Path) -> None:
    first = load_profile("embedded+hubert", weights=shelf.folder)
    other = Shelf(tmp_path)
    folder = shelf.folder / "hubert_base"
    changed = tmp_path / "in"
    changed.mkdir()
    for path in folder.glob("*.*"):
        (changed / path.name).write_bytes(path.read_bytes())
    from safetensors.torch import load_file, save_file

    state = load_file(changed / "model.safetensors")
    key = next(k for k in state if k.endswith("q_proj.weight"))
    state[key] = state[key] + 1e-3
    save_file(state, changed / "model.safetensors", metadata={"format": "pt"})
    other.add("hubert_base", changed)
    second = load_profile("embedded+hubert", weights=other.folder)
    feature = "audio/hubert_base"
    assert first.identity_of(feature) != second.identity_of(feature)
    assert first.identity_of("audio/logmel") == second.identity_of("audio/logmel")


def test_weights_are_found_through_the_environment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(shelf.folder))
    assert "audio/hubert_base" in load_profile("embedded+hubert").specs

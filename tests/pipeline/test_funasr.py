"""emotion2vec, SenseVoice and Paraformer: tiny random ones in FunASR's folder format.

Importing FunASR takes most of this file's time.
"""

import contextlib
import copy
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from pipeline.encoder import ClipInputs
from pipeline.errors import WeightError
from pipeline.speech import ctc
from pipeline.speech.words import words_of
from pipeline.transcript import Transcript
from pipeline.weights import Shelf

pytest.importorskip("funasr", reason="FunASR comes with emohead[paper]")
pytestmark = pytest.mark.filterwarnings("ignore")  # FunASR's own, of many kinds

from pipeline.speech import funasr_words  # noqa: E402
from pipeline.speech.emotion2vec import Emotion2vecEncoder  # noqa: E402
from pipeline.speech.funasr_folder import funasr_tables  # noqa: E402
from pipeline.speech.kaldi_frontend import KaldiFrontend  # noqa: E402

FRONTEND = {"fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25}
FRONTEND |= {"frame_shift": 10, "lfr_m": 7, "lfr_n": 6, "cmvn_file": None}
SENTENCES = [
    *("do not forget a jacket", "that is exactly what happened", "the surface is slick"),
    *("i am on my way to the meeting", "we will stop in a couple of minutes"),
]
ENCODER = {"output_size": 16, "attention_heads": 2, "linear_units": 24, "num_blocks": 2}
ENCODER |= {"dropout_rate": 0.1, "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.1}
ENCODER |= {"input_layer": "pe", "pos_enc_class": "SinusoidalPositionEncoder"}
ENCODER |= {"normalize_before": True, "kernel_size": 11, "sanm_shfit": 0}
ENCODER |= {"selfattention_layer_type": "sanm"}


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    samples = int(seconds * 25) * 640
    rng = np.random.default_rng(seed)
    envelope = 0.3 * np.abs(np.sin(np.arange(samples) / 3000))
    return (envelope * rng.normal(size=samples)).astype(np.float32)


def automodel(folder: Path, **settings: Any) -> Any:
    """FunASR's own loader, the reference; it prints, seeds and sets threads."""
    from funasr import AutoModel

    threads = torch.get_num_threads()
    with contextlib.redirect_stdout(io.StringIO()):
        model = AutoModel(
            model=str(folder), disable_update=True, device="cpu", disable_pbar=True, **settings
        )
    torch.set_num_threads(threads)
    return model


AUDIO = {
    "type": "AUDIO", "prenet_depth": 1, "prenet_layerdrop": 0.05, "prenet_dropout": 0.1,
    "start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0, "num_extra_tokens": 10,
    "init_extra_token_zero": True, "mask_noise_std": 0.01, "mask_prob_min": None,
    "mask_prob": 0.5, "inverse_mask": False, "mask_prob_adjust": 0.05, "keep_masked_pct": 0.0,
    "mask_length": 5, "add_masks": False, "remove_masks": False, "mask_dropout": 0.0,
    "encoder_zero_mask": True, "mask_channel_prob": 0.0, "mask_channel_length": 64,
    "ema_local_encoder": False, "local_grad_mult": 1.0, "use_alibi_encoder": True,
    "alibi_scale": 1.0, "learned_alibi": False, "alibi_max_pos": None,
    "learned_alibi_scale": True, "learned_alibi_scale_per_head": True,
    "learned_alibi_scale_per_layer": False, "num_alibi_heads": 2, "model_depth": 2,
    "decoder": {
        "decoder_dim": 16, "decoder_groups": 4, "decoder_kernel": 7, "decoder_layers": 2,
        "input_dropout": 0.1, "add_positions_masked": False, "add_positions_all": False,
        "decoder_residual": True, "projection_layers": 1, "projection_ratio": 2.0,
    },
    "extractor_mode": "layer_norm", "conv_pos_width": 15, "conv_pos_groups": 4,
    "conv_pos_depth": 5, "conv_pos_pre_ln": False,
    "feature_encoder_spec": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16,2,2)] + [(16,2,2)]",
}  # fmt: skip
EMOTION2VEC = {
    "loss_beta": 0.0, "loss_scale": None, "depth": 2, "start_drop_path_rate": 0.0,
    "end_drop_path_rate": 0.0, "num_heads": 2, "norm_eps": 1e-5, "norm_affine": True,
    "encoder_dropout": 0.1, "post_mlp_drop": 0.1, "attention_dropout": 0.1,
    "activation_dropout": 0.0, "dropout_input": 0.0, "layerdrop": 0.05, "embed_dim": 32,
    "mlp_ratio": 2.0, "layer_norm_first": False, "average_top_k_layers": 2,
    "end_of_block_targets": False, "clone_batch": 2, "normalize": True,
    "supported_modality": "AUDIO", "modalities": {"audio": AUDIO},
}  # fmt: skip


@pytest.fixture(scope="module")
def emotion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of emotion2vec_base, 32 channels wide."""
    torch.manual_seed(0)
    kind = funasr_tables().model_classes["Emotion2vec"]
    model = kind(model_conf=copy.deepcopy(EMOTION2VEC), vocab_size=-1)
    folder = tmp_path_factory.mktemp("emotion2vec")
    text = yaml.safe_dump({"model": "Emotion2vec", "model_conf": EMOTION2VEC})
    (folder / "config.yaml").write_text(text.replace("1.0e-05", "1e-05"))  # as published
    state = {f"d2v_model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"model": state | {"_ema": torch.zeros(1)}}, folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def shelf(emotion_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.add("emotion2vec_base", emotion_folder)
    return shelf


def test_emotion2vec_is_what_funasr_gives_for_the_padded_sound(
    emotion_folder: Path, shelf: Shelf, tmp_path: Path
) -> None:
    encoder = Emotion2vecEncoder(shelf=shelf)
    (spec,) = encoder.outputs
    assert (spec.name, spec.shape) == ("emotion/emotion2vec_base", (2, 32))
    audio = sound(2)
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    made = encoder.encode(ClipInputs(50, audio_source=lambda: audio))["emotion/emotion2vec_base"]
    assert torch.equal(torch.random.get_rng_state(), state)  # FunASR's own loader seeds
    assert torch.get_num_threads() == threads
    spec.check(made, 50)
    for name in ("config.yaml", "model.pt"):
        (tmp_path / name).write_bytes((emotion_folder / name).read_bytes())
    reference = automodel(tmp_path, scope_map=["d2v_model.", "none"])
    told = reference.generate(np.pad(audio, (0, 80)), granularity="frame")[0]["feats"]
    np.testing.assert_allclose(made.reshape(100, 32), told, atol=1e-4)
    assert len(reference.generate(audio, granularity="frame")[0]["feats"]) == 99


def test_emotion2vec_and_sensevoice_keep_the_clock_on_real_sound(
    shared_data: Path, shelf: Shelf, sensevoice: funasr_words.SenseVoice
) -> None:
    audio, rate = soundfile.read(shared_data / "audio" / "emotalk" / "angry1.wav", dtype="float32")
    assert rate == 16_000
    audio = audio if audio.ndim == 1 else audio.mean(axis=1)
    encoder = Emotion2vecEncoder(shelf=shelf)
    for samples in (640, 30_000, len(audio)):
        frames = samples // 640
        part = audio[: frames * 640]
        inputs = ClipInputs(frames, audio_source=lambda part=part: part)
        made = encoder.encode(inputs)["emotion/emotion2vec_base"]
        encoder.outputs[0].check(made, frames)
        assert np.isfinite(made).all()
    heard = sensevoice.recognise(audio)
    assert all(0 <= w.start < w.end <= len(audio) / 16_000 for w in heard.words)
    # rows of 60 ms, the last one begun
    steps = 1 + (len(audio) - 400) // 160
    assert len(sensevoice.scores(audio)) == -(-steps // 6)


def test_emotion2vec_folders_that_lie_are_refused(emotion_folder: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((emotion_folder / "config.yaml").read_text())
    config["model_conf"]["modalities"]["audio"]["feature_encoder_spec"] = "__import__('os')"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "model.pt").write_bytes((emotion_folder / "model.pt").read_bytes())
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("emotion2vec_base", tmp_path)
    audio = sound(1)
    with pytest.raises(WeightError, match="is no list of convolution layers"):
        Emotion2vecEncoder(shelf=shelf).encode(ClipInputs(25, audio_source=lambda: audio))
    config["model_conf"] = EMOTION2VEC | {"depth": 3}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    shelf.add("emotion2vec_base", tmp_path)
    with pytest.raises(WeightError, match=r"does not fit Emotion2vec: blocks\.2\.\S+ is missing"):
        Emotion2vecEncoder(shelf=shelf).encode(ClipInputs(25, audio_source=lambda: audio))
    config["model"] = "SenseVoiceSmall"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    shelf.add("emotion2vec_base", tmp_path)
    with pytest.raises(WeightError, match="is of 'SenseVoiceSmall'"):
        Emotion2vecEncoder(shelf=shelf)


def mean_file(folder: Path) -> None:
    numbers = {"AddShift": "-8.3", "Rescale": "0.2"}
    lines = ["<Nnet>", "<Splice> 560 560", "[ 0 ]"]
    for part, value in numbers.items():
        lines += [f"<{part}> 560 560", f"<LearnRateCoef> 0 [ {' '.join([value] * 560)} ]"]
    (folder / "am.mvn").write_text("\n".join([*lines, "</Nnet>"]))


@pytest.fixture(scope="module")
def sensevoice(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> funasr_words.SenseVoice:
    """The files of SenseVoiceSmall, 16 channels wide, 60 pieces."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("sensevoice")
    lines = folder / "lines.txt"
    lines.write_text("\n".join(SENTENCES * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines),
        model_prefix=str(folder / "chn_jpn.bpe"),
        model_type="bpe",
        vocab_size=60,
        minloglevel=2,
    )
    model_conf = {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1}
    config = {
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": ENCODER | {"tp_blocks": 1},
        "model": "SenseVoiceSmall",
        "model_conf": model_conf,
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": FRONTEND,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    mean_file(folder)
    torch.manual_seed(0)
    kind = funasr_tables().model_classes["SenseVoiceSmall"]
    arguments = {**config, **model_conf, "vocab_size": 60, "input_size": 560}
    torch.save(kind(**arguments).state_dict(), folder / "model.pt")
    shelf.add("sensevoice_small", folder)
    loaded = funasr_words.loaded(shelf, "sensevoice_small")
    assert isinstance(loaded, funasr_words.SenseVoice)
    return loaded


def test_sensevoice_hears_itself_alike(sensevoice: funasr_words.SenseVoice) -> None:
    audio = sound(3)
    scores = sensevoice.scores(audio)
    # 298 steps of 10 ms, every sixth a row
    assert scores.shape == (50, 60)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-5)
    heard = sensevoice.recognise(audio)
    assert heard == sensevoice.recognise(audio)
    assert heard.source == "asr"
    assert heard.text == " ".join(word.text for word in heard.words)
    assert all(0 <= w.start < w.end <= 3 for w in heard.words)
    assert sensevoice.recognise(np.zeros(16_000, np.float32)) == Transcript("", source="asr")


def test_known_words_are_laid_over_the_sound_by_sensevoice(
    sensevoice: funasr_words.SenseVoice,
) -> None:
    audio = sound(3)
    inputs = ClipInputs(
        75, transcript=Transcript("Do not forget, a jacket."), audio_source=lambda: audio
    )
    transcript, timing = words_of(inputs, lambda: sensevoice)
    assert (timing, transcript.source) == ("aligned", "known")
    assert [w.text for w in transcript.words] == ["Do", "not", "forget,", "a", "jacket."]
    starts = [w.start for w in transcript.words]
    assert starts == sorted(starts)
    assert sensevoice.align(audio, "") == ()
    assert sensevoice.align(audio, "汉字") is None  # not in its pieces
    assert sensevoice.align(audio[:3200], "do not forget a jacket the surface is slick") is None


def test_paraformer_brings_its_words_with_times(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """BiCifParaformer of 16 channels; 20 ms steps, FunASR's own decoding."""
    folder = tmp_path_factory.mktemp("paraformer")
    tokens = ["<blank>", "<s>", "</s>", *"我们今天去看电影吧好的", "<unk>"]
    (folder / "tokens.json").write_text(str(tokens).replace("'", '"'), encoding="utf-8")
    mean_file(folder)
    decoder = {"attention_heads": 2, "linear_units": 24, "num_blocks": 2, "dropout_rate": 0.1}
    decoder |= {"positional_dropout_rate": 0.1, "self_attention_dropout_rate": 0.1}
    decoder |= {"src_attention_dropout_rate": 0.1, "att_layer_num": 2, "kernel_size": 11}
    predictor = {"idim": 16, "threshold": 1.0, "l_order": 1, "r_order": 1, "tail_threshold": 0.45}
    predictor |= {"smooth_factor2": 0.25, "noise_threshold2": 0.01, "upsample_times": 3}
    predictor |= {"use_cif1_cnn": False, "upsample_type": "cnn_blstm"}
    config = {
        "model": "BiCifParaformer",
        "model_conf": {"ctc_weight": 0.0, "lsm_weight": 0.1, "length_normalized_loss": True}
        | {"predictor_weight": 1.0, "predictor_bias": 1, "sampling_ratio": 0.75},
        "encoder": "SANMEncoder",
        "encoder_conf": ENCODER,
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": decoder | {"sanm_shfit": 0},
        "predictor": "CifPredictorV3",
        "predictor_conf": predictor,
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": FRONTEND,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    kind = funasr_tables().model_classes["BiCifParaformer"]
    arguments = {**config, **config["model_conf"], "vocab_size": len(tokens), "input_size": 560}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(**arguments, token_list=tokens)
    torch.save(model.state_dict(), folder / "model.pt")
    shelf.add("paraformer_zh", folder)
    listener = funasr_words.loaded(shelf, "paraformer_zh")
    audio = sound(3)
    heard = listener.recognise(audio)
    assert heard == listener.recognise(audio)
    assert heard.source == "asr"
    assert listener.align(audio, heard.text) is None
    transcript, _ = words_of(ClipInputs(75, audio_source=lambda: audio), lambda: listener)
    assert all(0 <= w.start < w.end <= 3.1 for w in transcript.words)
    assert len(transcript.words) == len(transcript.text.split())


@pytest.mark.parametrize(
    ("text", "stamps", "expected"),
    [
        ("我 们", [[-30, 240], [240, 480]], [("我", 0.0, 0.24), ("们", 0.24, 0.48)]),
        ("hello world", [[100, 300]], None),
        ("a", [[300, 300]], None),
        ("", [], []),
    ],
)
def test_stamps_and_pieces_must_be_as_many(text: str, stamps: Any, expected: Any) -> None:
    words = funasr_words.stamped(text, stamps)
    assert expected == (None if words is None else [(w.text, w.start, w.end) for w in words])


def test_ctc_paths_by_hand() -> None:
    # 6 frames, tokens: blank a b; a a blank a b b -> "a", "a", "b"
    path = [1, 1, 0, 1, 2, 2]
    scores = np.log(np.eye(3)[path] * 0.9 + 0.03)
    assert ctc.greedy(scores) == [(1, 0, 2), (1, 3, 4), (2, 4, 6)]
    assert ctc.align(scores, [1, 1, 2]) == [(1, 0, 2), (1, 3, 4), (2, 4, 6)]
    # the same token twice needs a blank between: three frames for "aa", two are too few
    assert ctc.align(scores[:2], [1, 1]) is None
    assert ctc.align(scores[1:4], [1, 1]) == [(1, 0, 1), (1, 2, 3)]
    assert ctc.align(scores, []) == []


def test_pieces_join_to_words_and_hold_until_the_next() -> None:
    runs = [(5, 1, 2), (6, 3, 4), (7, 10, 11), (8, 12, 13)]
    words = funasr_words.heard_words(runs, ["▁he", "llo", "▁we", "▁"], seconds=0.7)
    # frame 1 begins at 0.06 - 0.03; "llo" ends at 0.24 - 0.03 and is held 0.24 s
    assert [(w.text, round(w.start, 3), round(w.end, 3)) for w in words] == [
        ("hello", 0.03, 0.45),
        ("we", 0.57, 0.7),
    ]
    han = funasr_words.heard_words([(1, 0, 1), (2, 1, 2)], ["▁我", "们"], seconds=9.0)
    assert [(w.text, w.start) for w in han] == [("我", 0.0), ("们", 0.03)]


def test_the_filter_bank_hears_a_tone_where_it_is() -> None:
    front = KaldiFrontend.from_config(FRONTEND | {"dither": 1.0})
    times = np.arange(16_000) / 16_000
    bank = front.filter_bank((0.1 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32))
    assert bank.shape == (98, 80)  # 1 + (16000 - 400) // 160
    # mel(f) = 1127 ln(1 + f / 700): 80 triangles between 20 and 8000 Hz
    mel = 1127 * np.log(1 + np.array([20, 1000, 8000]) / 700)
    band = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 81 - 1
    assert abs(bank.mean(axis=0).argmax() - band) < 1
    with pytest.raises(WeightError, match=r"frontend_conf.snip_edges = False is not supported"):
        KaldiFrontend.from_config({"snip_edges": False})

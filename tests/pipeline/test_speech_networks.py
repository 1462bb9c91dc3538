"""HuBERT and causal language models: tiny random ones in the real folder formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoder import ClipInputs
from pipeline.errors import ClockError, ProfileError, WeightError
from pipeline.features import TOKENS
from pipeline.speech.causal_lm import CausalLMConfig, CausalLMEncoder, tokens_of_words
from pipeline.speech.hubert import HubertConfig, HubertEncoder, clock_of
from pipeline.speech.stretches import StepsConfig, in_stretches, stretches
from pipeline.transcript import Transcript, Word
from pipeline.weights import Shelf

SENTENCES = (
    "maybe tomorrow it will be cold",
    "the airplane is almost full",
    "don't forget a jacket",
)


@pytest.fixture(scope="module")
def hubert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of facebook/hubert-base-ls960, 32 channels wide, under its old key names."""
    from transformers import HubertConfig as Settings
    from transformers import HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    settings = Settings(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    model = HubertModel(settings)
    folder = tmp_path_factory.mktemp("hubert")
    settings.architectures = ["HubertModel"]
    settings.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    old = {"parametrizations.weight.original0": "weight_g"}
    old |= {"parametrizations.weight.original1": "weight_v"}
    state = model.state_dict()
    for new, name in old.items():
        state = {key.replace(new, name): value for key, value in state.items()}
    assert any(key.endswith("weight_g") for key in state)
    torch.save(state, folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def shelf(hubert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.add("hubert_base", hubert_folder)
    return shelf


def clip(audio: np.ndarray, transcript: Transcript | None = None) -> ClipInputs:
    frames = len(audio) // 640
    whole = audio[: frames * 640].astype(np.float32)
    return ClipInputs(frames, transcript=transcript, audio_source=lambda: whole)


def real_speech(shared_data: Path) -> np.ndarray:
    audio, rate = soundfile.read(shared_data / "audio" / "emotalk" / "sad.wav", dtype="float32")
    assert rate == 16_000
    return audio if audio.ndim == 1 else audio.mean(axis=1)


def test_hubert_gives_two_steps_a_frame_on_real_sound(shared_data: Path, shelf: Shelf) -> None:
    encoder = HubertEncoder(shelf=shelf)
    (spec,) = encoder.outputs
    assert spec.name == "audio/hubert_base"
    assert spec.shape == (2, 32)
    audio = real_speech(shared_data)
    for samples in (640, 6_400, 63_999, len(audio)):
        inputs = clip(audio[:samples])
        made = encoder.encode(inputs)["audio/hubert_base"]
        spec.check(made, samples // 640)
        assert np.isfinite(made).all()


def test_hubert_is_what_transformers_gives_for_the_padded_sound(
    hubert_folder: Path, shelf: Shelf
) -> None:
    from transformers import AutoFeatureExtractor, HubertModel

    audio = np.random.default_rng(0).normal(0.01, 0.1, 640 * 20).astype(np.float32)
    padded = np.pad(audio, (0, 80))
    extractor = AutoFeatureExtractor.from_pretrained(hubert_folder)
    model = HubertModel.from_pretrained(hubert_folder).eval()
    values = extractor(padded, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        told = model(values, output_hidden_states=True)
        unpadded = model(values[:, :-80]).last_hidden_state
    assert unpadded.shape[1] == 39  # 2 V - 1: what the padding is for
    made = HubertEncoder(shelf=shelf).encode(clip(audio))["audio/hubert_base"]
    np.testing.assert_allclose(made.reshape(40, 32), told.last_hidden_state[0], atol=1e-5)
    first = HubertEncoder(HubertConfig(layer=1), shelf).encode(clip(audio))["audio/hubert_base"]
    np.testing.assert_allclose(first.reshape(40, 32), told.hidden_states[1][0], atol=1e-5)


def test_a_padded_batch_would_change_hubert_and_one_of_equal_lengths_would_not(
    hubert_folder: Path,
) -> None:
    """Why clips are heard one at a time: the first layer normalises over time, padding included."""
    from transformers import HubertModel

    model = HubertModel.from_pretrained(hubert_folder).eval()
    sound = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 16_080)).astype(np.float32))
    short = sound[1, :9_680]
    padded, mask = sound.clone(), torch.ones(2, 16_080, dtype=torch.long)
    padded[1, 9_680:] = 0
    mask[1, 9_680:] = 0
    with torch.no_grad():
        alone = model(short[None]).last_hidden_state[0]
        together = model(padded, attention_mask=mask).last_hidden_state[1, : len(alone)]
        equal = model(sound).last_hidden_state[1]
        single = model(sound[1:]).last_hidden_state[0]
    assert (together - alone).abs().max() > 0.05 * alone.abs().max()
    assert (equal - single).abs().max() < 1e-5


def test_long_sound_is_read_in_stretches_that_hardly_differ(shelf: Shelf) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 640 * 100).astype(np.float32)
    whole = HubertEncoder(shelf=shelf).encode(clip(audio))["audio/hubert_base"]
    config = HubertConfig(longest_s=2.0, context_s=0.4)
    cut = HubertEncoder(config, shelf).encode(clip(audio))["audio/hubert_base"]
    assert cut.shape == whole.shape
    # stationary noise: attention and normalisation see much the same in two seconds as in four
    assert np.corrcoef(cut.ravel(), whole.ravel())[0, 1] > 0.99
    assert not np.array_equal(cut, whole)


@given(frames=st.integers(0, 400), longest=st.integers(3, 90), context=st.integers(0, 20))
def test_stretches_keep_every_frame_once(frames: int, longest: int, context: int) -> None:
    if longest <= 2 * context:
        with pytest.raises(ClockError, match="keep nothing"):
            stretches(frames, longest, context)
        return
    parts = stretches(frames, longest, context)
    kept = [i for part in parts for i in range(part.keep_first, part.keep_past)]
    assert kept == list(range(frames))
    for part in parts:
        assert 0 <= part.first <= part.keep_first < part.keep_past <= part.past <= frames
        assert part.past - part.first <= longest
        assert part.keep_first - part.first >= context or part.first == 0
        assert part.past - part.keep_past >= context or part.past == frames


def test_stretches_of_a_network_without_memory_change_nothing() -> None:
    def field(audio: np.ndarray) -> np.ndarray:
        return np.stack([audio[i * 320 : i * 320 + 400] for i in range((len(audio) - 80) // 320)])

    audio = np.arange(640 * 37 + 80, dtype=np.float32)
    whole = in_stretches(field, audio, StepsConfig())
    cut = in_stretches(field, audio, StepsConfig(longest_s=0.4, context_s=0.08))
    np.testing.assert_array_equal(cut, whole)
    with pytest.raises(ClockError, match="73 steps for 37 frames, 74 are needed"):
        in_stretches(lambda a: field(a)[:-1], audio, StepsConfig())
    with pytest.raises(ProfileError, match="keep nothing"):
        StepsConfig(longest_s=2.0, context_s=1.0)


def test_a_network_with_another_clock_is_refused(hubert_folder: Path, tmp_path: Path) -> None:
    assert clock_of([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]) == (400, 320)
    for name in ("config.json", "pytorch_model.bin"):
        (tmp_path / name).write_bytes((hubert_folder / name).read_bytes())
    told = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(told | {"conv_stride": [4, 2, 2, 2, 2, 2, 2]}))
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("fast", tmp_path, like="hubert_base")
    with pytest.raises(WeightError, match="a step sees 322 samples and comes every 256"):
        HubertEncoder(HubertConfig(weights="fast"), shelf)


def test_tensors_that_are_missing_are_an_error_not_noise(
    hubert_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((hubert_folder / "config.json").read_bytes())
    state = torch.load(hubert_folder / "pytorch_model.bin")
    del state["encoder.layers.1.attention.q_proj.weight"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("holed", tmp_path, like="hubert_base")
    encoder = HubertEncoder(HubertConfig(weights="holed"), shelf)
    with pytest.raises(WeightError, match="lacks 1 tensors of HubertModel"):
        encoder.encode(clip(np.zeros(6400)))


def llama_folder(folder: Path, metaspace: bool) -> Path:
    """A LLaMA of 16 channels with a byte-pair tokenizer trained on three sentences."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if metaspace:  # as LLaMA 2: learnt word by word
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    else:  # as LLaMA 3: bytes, the blank belongs to the word after it
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"])
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if metaspace:  # as its file has it: blanks become ▁, one is put in front
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["llama2", "llama3"])
def llama(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shelf]:
    folder = llama_folder(tmp_path_factory.mktemp("llama"), request.param)
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.add("llama2_7b", folder)
    return folder, shelf


def config(**changes: Any) -> CausalLMConfig:
    return CausalLMConfig(recogniser="pocketsphinx", **changes)


def test_tokens_lead_to_words_times_and_frames(llama: tuple[Path, Shelf]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, shelf = llama
    encoder = CausalLMEncoder(config(), shelf)
    (spec,) = encoder.outputs
    assert (spec.name, spec.token_dim) == ("text/llama2_7b", 16)
    words = tuple(Word(text, 0.2 * i, 0.2 * i + 0.2) for i, text in enumerate(SENTENCES[0].split()))
    inputs = clip(np.zeros(640 * 40), Transcript(SENTENCES[0], words, source="sidecar"))
    made = encoder.encode(inputs)
    index, table = made["text/llama2_7b"], made["text/llama2_7b" + TOKENS]
    spec.check(index, 40)
    # by another route: the whole sentence through the whole model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(SENTENCES[0], return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model(**batch, output_hidden_states=True).hidden_states[-1][0]
    np.testing.assert_allclose(table, hidden[1:], atol=1e-5)  # all tokens but <s>
    # frame centres 0.02 + 0.04 i; words end at 1.2 s, their tokens come in order
    assert (index[30:] == -1).all()
    assert (index[:30] >= 0).all()
    assert (np.diff(index[:30]) >= 0).all()
    tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())[1:]
    spoken = [tokens[i].strip("▁Ġ") for i in index[:30]]
    for frame, piece in enumerate(spoken):
        word = words[int((0.02 + 0.04 * frame) / 0.2)].text
        assert piece in word
    assert inputs.facts["transcript"]["timing"] == "given"


def test_every_character_of_a_word_has_its_token(llama: tuple[Path, Shelf]) -> None:
    _, shelf = llama
    encoder = CausalLMEncoder(config(), shelf)
    for sentence in SENTENCES:
        words = sentence.split()
        table, pieces = encoder.embed(words)
        assert len(table) == sum(len(p) for p in pieces)
        for word, ranges in zip(words, pieces, strict=True):
            covered = {i for first, past in ranges for i in range(first, past)}
            assert covered == set(range(len(word)))


def test_context_layer_and_length_matter_and_are_recorded(llama: tuple[Path, Shelf]) -> None:
    _, shelf = llama
    encoder = CausalLMEncoder(config(), shelf)
    first, _ = encoder.embed(["forget", "a", "jacket"])
    other, _ = encoder.embed(["airplane", "a", "jacket"])
    assert not np.allclose(first[-1], other[-1])
    plain = CausalLMEncoder(config(layer=0), shelf)
    np.testing.assert_array_equal(
        plain.embed(["forget", "a"])[0][-1], plain.embed(["full", "a"])[0][-1]
    )
    long = CausalLMEncoder(config(max_tokens=8), shelf)
    table, pieces = long.embed(SENTENCES[0].split() * 6)
    assert len(pieces) == 36
    assert np.isfinite(table).all()
    assert encoder.identity() != plain.identity()
    assert encoder.identity()["config"]["dtype"] == "float32"
    assert any(key.startswith("pocketsphinx/") for key in encoder.identity()["weights"])
    half = CausalLMEncoder(config(dtype="bfloat16"), shelf)
    assert np.abs(half.embed(["forget"])[0] - encoder.embed(["forget"])[0]).max() < 0.1


def test_silence_has_an_empty_table(llama: tuple[Path, Shelf]) -> None:
    _, shelf = llama
    made = CausalLMEncoder(config(), shelf).encode(clip(np.zeros(6400)))
    assert made["text/llama2_7b" + TOKENS].shape == (0, 16)
    assert (made["text/llama2_7b"] == -1).all()


def test_a_token_over_two_words_belongs_to_both() -> None:
    offsets = [(0, 0), (0, 4), (4, 5)]
    assert tokens_of_words(["ab", "cd"], offsets) == [[(1, 0, 2)], [(1, 0, 1), (2, 1, 2)]]
    with pytest.raises(ProfileError, match="max_tokens 4 at least 8"):
        CausalLMConfig(max_tokens=4)

"""Windows, training, resuming after a kill, checkpoints, prediction."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_kit import FRAMES, config, joined, made_clips
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import models
from models.baselines import fit_mean, fit_ridge
from models.batches import Batches
from models.checkpoint import LAST, AudioExpressionModel, Checkpoint, load
from models.config import TrainConfig
from models.data import SpeechFeatures, TrainingData
from models.errors import (
    CheckpointError,
    EmotionError,
    ModelConfigError,
    TrainingDataError,
    TrainingDivergedError,
)
from models.inference import blend, predict, window_starts
from models.run_notes import reason_unmeasured
from models.speech import speak
from models.trainer import expression_of, learning_rate, loss_of, train_audio_expression
from models.validate import correlations, rmse
from models.windows import Standardiser, WindowSampler, gather, stack_context


@pytest.fixture(scope="module")
def trained(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train_audio_expression(data, config(), tmp_path_factory.mktemp("run"))


def test_draws_depend_on_seed_and_step_alone(data: TrainingData) -> None:
    one = WindowSampler(data.part("train"), 24, 8, seed=3)
    two = WindowSampler(data.part("train"), 24, 8, seed=3)
    one.draw(0)
    for name in ("clip", "start", "other", "other_start", "lots"):
        assert np.array_equal(getattr(one.draw(7), name), getattr(two.draw(7), name))
    assert not np.array_equal(one.draw(7).start, one.draw(8).start)


def test_the_other_clip_is_another_person_in_the_same_emotion(data: TrainingData) -> None:
    sampler = WindowSampler(data.part("train"), 24, 64, seed=0)
    for step in range(5):
        draw = sampler.draw(step)
        for mine, other in zip(draw.clip, draw.other, strict=True):
            assert sampler.clips[mine].identity != sampler.clips[other].identity
            assert sampler.clips[mine].emotion == sampler.clips[other].emotion
        assert draw.start.min() >= 0
        assert draw.start.max() <= FRAMES - 24
        assert draw.other_start.max() <= FRAMES - 24


def test_every_window_is_drawn(data: TrainingData) -> None:
    sampler = WindowSampler(data.part("train")[:2], 58, 64, seed=0)
    seen = {pair for s in range(4) for pair in zip(sampler.draw(s).clip, sampler.draw(s).start,
                                                   strict=True)}  # fmt: skip
    assert seen == {(c, s) for c in (0, 1) for s in (0, 1, 2)}


def test_clips_shorter_than_a_window_are_named(data: TrainingData) -> None:
    with pytest.raises(
        TrainingDataError, match=r"longest of 15 .* 60 frames, a window has 61; set window to 60"
    ):
        WindowSampler(data.part("train")[:15], 61, 4, seed=0)


def test_gathered_windows_know_their_past_and_their_clip(data: TrainingData) -> None:
    network = config(context=1).network(data.widths, data.k)
    standard = Standardiser(12, 5, 6)
    clip = data.clips[1]
    end = np.array([clip.first + FRAMES])
    for start, absent in ((0, 5), (3, 2), (20, 0)):
        first = np.array([clip.first + start])
        got = gather(data.features, first, np.array([clip.first]), end, 24, network, standard)
        assert (~got.past.present).sum() == absent
        f = data.clip_features(clip)
        assert got.emotion[0].numpy() == pytest.approx(f.emotion[start : start + 24])
        around = np.clip(np.arange(start - 1, start + 2), 0, FRAMES - 1)
        assert got.audio[0, 0].numpy() == pytest.approx(f.audio[around].ravel())
        silent = f.token_index[start : start + 24] < 0
        words = got.text.per_frame()[0].numpy()
        assert (np.abs(words).sum(axis=1) == 0).tolist() == silent.tolist()
        spoken = f.tokens[f.token_index[start : start + 24][~silent]]
        assert words[~silent] == pytest.approx(spoken)
        assert got.text.tokens.shape[1] <= 4  # silence and three words
        if absent < 5:
            assert got.past.audio[0, -1, 12:24].numpy() == pytest.approx(f.audio[start - 1])


def test_context_stacks_oldest_first() -> None:
    audio = torch.arange(5.0).reshape(1, 5, 1)
    assert stack_context(audio, 1)[0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert stack_context(audio, 0) is audio


def test_statistics_come_from_training_clips(data: TrainingData) -> None:
    standard = Standardiser(12, 5, 6)
    standard.fit(data, data.part("train"))
    rows = np.concatenate([np.arange(c.first, c.first + c.frames) for c in data.part("train")])
    assert standard.audio_mean.numpy() == pytest.approx(
        data.features.audio[rows].mean(axis=0), abs=1e-5
    )


def test_the_learning_rate_follows_its_curve() -> None:
    assert learning_rate(config(), 77) == 3e-3
    falling = config(final_learning_rate=0.1)
    assert learning_rate(falling, 0) == pytest.approx(3e-3)
    assert learning_rate(falling, 75) == pytest.approx(0.55 * 3e-3)


def test_it_learns_and_beats_the_mean(data: TrainingData, trained: Checkpoint) -> None:
    clips = data.part("held_out_sentence")
    true = np.concatenate([data.whitened(clip) for clip in clips])
    still = np.zeros_like(true)
    assert trained.state["best"]["split"] == "held_out_sentence"
    assert trained.state["best"]["rmse"] < 0.85 * rmse(still, true)
    losses = [loss for _, loss in trained.state["history"]]
    assert losses[-1] < 0.8 * losses[0]


def test_baselines_are_what_they_say(data: TrainingData) -> None:
    clip = data.part("held_out_sentence")[0]
    mean = fit_mean(data, tag=True)
    rows = [data.whitened(c) for c in data.part("train") if c.emotion == clip.emotion]
    expected = np.concatenate(rows).mean(axis=0)
    assert mean.predict(data, clip)[5] == pytest.approx(expected, abs=1e-5)
    assert fit_mean(data).predict(data, clip)[0] == pytest.approx(fit_mean(data).overall)
    for tag in (False, True):
        ridge = fit_ridge(data, penalty=1.0, tag=tag).predict(data, clip)
        assert correlations(ridge, data.whitened(clip))[0] > 0.8


def test_the_average_is_the_formula(data: TrainingData, tmp_path: Path) -> None:
    weights = []
    for steps in (1, 2, 3):
        folder = tmp_path / str(steps)
        train_audio_expression(data, config(steps=steps, ema=0.75), folder)
        weights.append(load(folder, "last").model.network.state_dict()["e_2"])
    average = 0.75 * (0.75 * weights[0] + 0.25 * weights[1]) + 0.25 * weights[2]
    saved = load_file(tmp_path / "3" / LAST)["adam/average/module.network.e_2"]
    assert saved.numpy() == pytest.approx(average.numpy(), abs=1e-6)
    # validated and kept as best is the average, not the last weights
    best = load(tmp_path / "3", "best").model.network.state_dict()["e_2"]
    assert torch.equal(best, saved)


def test_raw_units_weigh_coefficients_as_the_extractor_does(data: TrainingData) -> None:
    model = AudioExpressionModel(config().network(data.widths, data.k))
    white, raw = (
        Batches(data, config(loss_units=units), model.standard).of(3)
        for units in ("whitened", "raw")
    )
    statistics = data.planes["ann"].whitening
    ann = [i for i in range(8) if np.allclose(raw.offset[i, 0], statistics.mean)]
    assert ann
    assert (white.own * raw.scale + raw.offset)[ann].numpy() == pytest.approx(
        raw.own[ann].numpy(), rel=1e-4, abs=1e-4
    )
    assert raw.scale[ann[0], 0].numpy() == pytest.approx(statistics.std, rel=1e-6)
    assert white.scale.unique().tolist() == [1]
    assert white.offset.unique().tolist() == [0]
    # a perfect network has no loss in either unit, but for the other identity's term
    for batch in (white, raw):
        said = SimpleNamespace(alpha_hat=(batch.own - batch.offset) / batch.scale)
        alpha_hat = expression_of(lambda *_, said=said: said, batch)
        assert loss_of(alpha_hat, batch, 0.0).item() < 1e-3


def test_bfloat16_keeps_float32_weights(data: TrainingData, tmp_path: Path) -> None:
    done = train_audio_expression(data, config(steps=3, precision="bfloat16"), tmp_path)
    assert {p.dtype for p in done.model.parameters()} == {torch.float32}
    exact = train_audio_expression(data, config(steps=3), tmp_path / "exact")
    a, b = (c.state["history"][-1][1] for c in (done, exact))
    assert a == pytest.approx(b, rel=0.05)
    assert a != b


def test_a_training_that_diverges_stops_and_keeps_its_checkpoint(
    data: TrainingData, tmp_path: Path
) -> None:
    wild = config(steps=20, learning_rate=1e30, save_every=1, validate_every=100)
    with pytest.raises(TrainingDivergedError, match=r"the loss is (nan|inf) at step \d+; lower"):
        train_audio_expression(data, wild, tmp_path)
    assert load(tmp_path, "last").step >= 1


def test_without_refinement_the_tag_changes_nothing(data: TrainingData, tmp_path: Path) -> None:
    done = train_audio_expression(data, config(steps=3, refinement=False), tmp_path)
    f = data.clip_features(data.clips[0])
    said = predict(done.model, f, np.ones((FRAMES, 4), dtype=np.float32), 24)
    assert np.array_equal(said.alpha_hat, said.alpha_tilde)
    assert not said.tau.any()


def test_a_run_of_other_settings_or_data_is_not_continued(
    data: TrainingData, tmp_path: Path
) -> None:
    train_audio_expression(data, config(steps=10), tmp_path)
    with pytest.raises(CheckpointError, match=r"batch: 8 then, 4 now"):
        train_audio_expression(data, config(steps=20, batch=4), tmp_path)
    louder = replace(data, features=replace(data.features, audio=2 * data.features.audio))
    with pytest.raises(CheckpointError, match=r"data: [0-9a-f]{12} then, [0-9a-f]{12} now"):
        train_audio_expression(louder, config(steps=20), tmp_path)
    falling = tmp_path / "falling"
    train_audio_expression(data, config(steps=10, final_learning_rate=0.1), falling)
    with pytest.raises(CheckpointError, match=r"steps: 10 then, 20 now"):
        train_audio_expression(data, config(steps=20, final_learning_rate=0.1), falling)


def test_a_checkpoint_says_where_it_comes_from(trained: Checkpoint, data: TrainingData) -> None:
    again = load(trained.path.parent)
    assert again.train == config()
    assert again.state["provenance"] == {"snapshot": "ABC"}
    assert set(again.planes) == {"ann", "bob", "pooled"}
    assert np.array_equal(again.planes["ann"].planes["sad"].w, data.planes["ann"].planes["sad"].w)
    assert np.array_equal(again.planes["bob"].whitening.std, data.planes["bob"].whitening.std)
    beside = json.loads(trained.path.with_suffix(".json").read_text())
    assert beside["train"]["batch"] == 8
    assert not list(trained.path.parent.glob("*.part"))


def test_notes_say_what_was_left_out(tmp_path: Path) -> None:
    clips = [c for c in made_clips() if (c.identity, c.emotion) != ("bob", "sad")]
    short = clips[0]
    f = short.features
    cut = SpeechFeatures(f.audio[:9], f.emotion[:9], f.tokens, f.token_index[:9])
    clips[0] = replace(short, features=cut, expression=short.expression[:9])
    clips[1] = replace(clips[1], emotion="")
    data = joined(clips)
    data = replace(data, clips=tuple(replace(c, split="train") for c in data.clips))
    notes = train_audio_expression(data, config(steps=2), tmp_path).state["notes"]
    assert any("'sad' belongs to identity 'ann' alone" in note for note in notes)
    assert any("ann_neutral_0 (9)" in note for note in notes)
    assert any("1 of 19 training clips have no emotion tag" in note for note in notes)
    assert any("nothing was validated" in note for note in notes)


def test_parts_that_could_not_be_measured_are_said(trained: Checkpoint, data: TrainingData) -> None:
    notes = trained.state["notes"]
    assert "held_out_identity: not measured (all identities are learnt from)" in notes
    parts = set(trained.state["validation"][-1]) - {"step"}
    assert parts == {"held_out_sentence", "held_out_clip"}
    alone = replace(data, clips=tuple(replace(c, identity="ann") for c in data.clips))
    assert reason_unmeasured(alone, "held_out_identity") == "one identity"


def test_a_held_out_person_is_scored_apart(data: TrainingData, tmp_path: Path) -> None:
    clips = tuple(
        replace(c, split="held_out_identity" if c.identity == "bob" else c.split)
        for c in data.clips
    )
    done = train_audio_expression(replace(data, clips=clips), config(steps=2), tmp_path)
    last = done.state["validation"][-1]
    assert last.keys() == {"step", "held_out_sentence", "held_out_identity"}
    assert "held_out_clip: not measured" in " ".join(done.state["notes"])
    # with bob held out every tag has one identity left: eq. 13 loses its second term, and says so
    assert sum("belongs to identity 'ann' alone" in note for note in done.state["notes"]) == 3


def test_no_checkpoint_and_torn_checkpoints_are_named(trained: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train the audio-expression network first"):
        load(tmp_path)
    (tmp_path / LAST).write_bytes(trained.path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / LAST, {"state": '{"format": "other/1"}'})
    with pytest.raises(CheckpointError, match=r"is 'other/1', this code reads 'emohead"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="'newest' is none of"):
        load(tmp_path, "newest")


def test_progress_is_told(data: TrainingData, tmp_path: Path) -> None:
    told: list[tuple[int, int, dict[str, float]]] = []
    train_audio_expression(data, config(steps=25), tmp_path, lambda *news: told.append(news))
    assert [(step, steps) for step, steps, _ in told] == [(10, 25), (20, 25), (25, 25)]
    assert {"loss", "steps_per_second"} <= told[0][2].keys()


def test_tensorboard_is_written_on_request(data: TrainingData, tmp_path: Path) -> None:
    train_audio_expression(data, config(steps=10, validate_every=5, tensorboard=True), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    names = set(events.Tags()["scalars"])
    assert {"loss", "steps_per_second", "held_out_sentence/rmse", "held_out_clip/rmse"} <= names
    assert [e.step for e in events.Scalars("held_out_sentence/rmse")] == [5, 10]


@given(frames=st.integers(1, 200), window=st.integers(1, 40))
def test_windows_cover_every_frame(frames: int, window: int) -> None:
    starts = window_starts(frames, window)
    size = min(window, frames)
    covered = np.zeros(frames, dtype=int)
    for start in starts:
        assert 0 <= start <= frames - size
        covered[start : start + size] += 1
    assert covered.min() >= 1
    constant = blend(np.full((len(starts), size, 2), 3.0), starts, frames)
    assert constant == pytest.approx(np.full((frames, 2), 3.0))


def test_blending_goes_smoothly_from_window_to_window() -> None:
    parts = np.stack([np.zeros((8, 1)), np.ones((8, 1))])
    mixed = blend(parts, np.array([0, 4]), 12).ravel()
    assert mixed[:4].tolist() == [0] * 4
    assert mixed[8:].tolist() == [1] * 4
    # depths 4 3 2 1 against 1 2 3 4
    assert mixed[4:8] == pytest.approx([0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("frames", [1, 5, 24, 25, 60])
def test_any_length_is_predicted(trained: Checkpoint, data: TrainingData, frames: int) -> None:
    f = data.clip_features(data.clips[0])
    cut = SpeechFeatures(f.audio[:frames], f.emotion[:frames], f.tokens, f.token_index[:frames])
    normals = np.tile(np.array([0.6, 0.8, 0, 0], dtype=np.float32), (frames, 1))
    out = predict(trained.model, cut, normals, trained.train.window)
    assert out.alpha_tilde.shape == (frames, 4)
    assert out.alpha_hat == pytest.approx(out.alpha_tilde + out.tau[:, None] * normals, abs=1e-6)


def test_features_that_do_not_fit_are_named(trained: Checkpoint, data: TrainingData) -> None:
    f = data.clip_features(data.clips[0])
    normals = np.zeros((FRAMES, 4), dtype=np.float32)
    with pytest.raises(TrainingDataError, match=r"\(11, 5, 6\), the checkpoint was trained on"):
        predict(trained.model, replace(f, audio=f.audio[:, :11]), normals, 24)
    broken = f.emotion.copy()
    broken[3] = np.nan
    with pytest.raises(TrainingDataError, match="emotion is not finite at frame 3 of 60"):
        predict(trained.model, replace(f, emotion=broken), normals, 24)
    with pytest.raises(TrainingDataError, match=r"normals of shape \(9, 4\) for 60 frames"):
        predict(trained.model, f, normals[:9], 24)


def test_a_sentence_is_said_in_an_emotion_its_voice_does_not_have(
    trained: Checkpoint, data: TrainingData
) -> None:
    clip = next(c for c in data.part("held_out_sentence") if c.emotion == "neutral")
    f = data.clip_features(clip)
    speech = speak(trained, f, "happy@0-1,sad@1.4-2.4", clip.identity)
    assert speech.alpha.shape == speech.raw.shape == (FRAMES, 4)
    assert speech.steered.margin[5, 0] > 0
    assert speech.steered.margin[-5, 1] > 0
    raw = trained.planes[clip.identity].whitening.unwhiten(speech.alpha)
    assert speech.raw == pytest.approx(raw)
    plain = speak(trained, f, None, clip.identity)
    assert plain.steered.tags == ()
    assert np.array_equal(plain.alpha, plain.prediction.alpha_tilde)
    with pytest.raises(EmotionError, match="did you mean 'happy'"):
        speak(trained, f, "happi", clip.identity)
    with pytest.raises(TrainingDataError, match="'eve' has no stored whitening"):
        speak(trained, f, "happy", "eve")


def test_settings_that_cannot_be_are_refused() -> None:
    for changes, message in (
        ({"steps": 0}, "steps is 0"),
        ({"rho": -1.0}, "rho is -1.0"),
        ({"text_dropout": 1.0}, "text_dropout is 1.0"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"precision": "float16"}, "precision is float16 and device is cpu"),
    ):
        with pytest.raises(ModelConfigError, match=message):
            config(**changes)
    assert TrainConfig.from_dict(config().to_dict()) == config()


def test_the_face_of_the_folder_is_whole_and_light() -> None:
    for name in models.__all__:
        assert getattr(models, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = models.nothing

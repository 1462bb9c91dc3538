"""What the network is told matters, what it is not told does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from render.diffusion.animate import Motion, Sampling, animate, chunks
from render.diffusion.codec import to_bytes, to_signed
from render.diffusion.conditions import Conditions
from render.diffusion.config import NetworkConfig, NoiseConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.guidance import Guidance
from render.diffusion.noise import Chain, draw_noise
from render.diffusion.portrait import ABSENT, CLEAN, NOISY, Portrait
from render.diffusion.tracks import conditions_of
from render.diffusion.trainer import train_portrait
from render.errors import ConfigError, PortraitDataError

Maker = Callable[..., PortraitClip]


@pytest.fixture(scope="module")
def trained(
    make_clip: Maker, tiny: NetworkConfig, tmp_path_factory: pytest.TempPathFactory
) -> Portrait:
    """Some steps on two people: no layer is at its neutral start any more."""
    return _train(make_clip, tiny, tmp_path_factory.mktemp("portrait"), 40)


def _train(make_clip: Maker, tiny: NetworkConfig, folder: Path, steps: int) -> Portrait:
    """Two people who say and show the same."""
    clips = [make_clip(who, seed=seed) for who in ("red", "blue") for seed in (0, 1)]
    config = PortraitTraining(
        tiny, steps=steps, learning_rate=2e-3, warm_up=10, ema=0.95, drop_motion=0.5, threads=1
    )
    return train_portrait(PortraitData(tuple(clips)), config, folder)


@pytest.fixture
def clip(make_clip: Maker) -> PortraitClip:
    return make_clip("red")


@pytest.mark.slow
def test_picture_gives_the_person_expression_the_mouth_sound_the_place(
    make_clip: Maker, tiny: NetworkConfig, tmp_path: Path
) -> None:
    trained = _train(make_clip, tiny, tmp_path, 800)

    def drawn(who: str, opening: float, place: float) -> np.ndarray:
        alpha, audio = np.zeros((4, 3), np.float32), np.zeros((4, 6), np.float32)
        alpha[:, 0], audio[:, 0] = opening, place
        picture = make_clip(who).frames[20]
        parts = animate(trained, NoiseConfig(), picture, audio, alpha, Sampling(4))
        return np.concatenate(list(parts)).astype(float).mean(0)

    disc = (slice(21, 26), slice(12, 20))
    red, blue = drawn("red", 0, 0)[disc].mean((0, 1)), drawn("blue", 0, 0)[disc].mean((0, 1))
    assert red[0] > red[2] + 20
    assert blue[2] > blue[0] + 20

    mouth = (slice(13, 16), slice(14, 18))  # dark only where the mouth is wide open
    assert drawn("red", 1, 0)[mouth].mean() < drawn("red", -1, 0)[mouth].mean() - 5

    def middle(picture: np.ndarray) -> float:
        row = (picture[23] - 30).clip(0).sum(1)
        return float((row * np.arange(32)).sum() / row.sum())

    assert middle(drawn("red", 0, 1)) > middle(drawn("red", 0, -1)) + 1


def said(model: Portrait, clip: PortraitClip, picture: np.ndarray, **other: Any) -> Tensor:
    """Output for the frames 5..8 with motion frames 3, 4."""
    told = conditions_of([(clip.audio, clip.expression, None)], [3], 6, 1)
    given = {
        "noisy": model.codec.encode(to_signed(clip.frames[3:9]))[None],
        "step": torch.tensor([600]),
        "state": torch.tensor([[CLEAN, CLEAN, NOISY, NOISY, NOISY, NOISY]]),
        "conditions": told,
    } | other
    with torch.no_grad():
        return model(**given, seen=model.see(model.codec.encode(to_signed(picture[None]))))


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b)[:, 2:].abs().mean())


def test_picture_sound_expression_and_motion_frames_matter_unless_dropped(
    trained: Portrait, clip: PortraitClip, make_clip: Maker
) -> None:
    red, blue = clip.frames[20], make_clip("blue").frames[20]
    base = said(trained, clip, red)
    told = conditions_of([(clip.audio, clip.expression, None)], [3], 6, 1)
    other = {
        "hears": replace(told, audio=told.audio.flip(1)),
        "feels": replace(told, expression=-told.expression),
    }
    assert far(base, said(trained, clip, blue)) > 1e-5
    for name, changed in other.items():
        assert far(base, said(trained, clip, red, conditions=changed)) > 1e-5, name
        dropped = {name: torch.tensor([False])}
        a = said(trained, clip, red, conditions=replace(told, **dropped))
        b = said(trained, clip, red, conditions=replace(changed, **dropped))
        assert torch.equal(a, b), name
        assert far(base, a) > 1e-5, name
    unseen = replace(told, sees=torch.tensor([False]))
    a = said(trained, clip, red, conditions=unseen)
    assert torch.equal(a, said(trained, clip, blue, conditions=unseen))
    assert far(base, a) > 1e-5

    noisy = trained.codec.encode(to_signed(clip.frames[3:9]))[None]
    moved = torch.cat([-noisy[:, :2], noisy[:, 2:]], dim=1)
    assert far(base, said(trained, clip, red, noisy=moved)) > 1e-5


def test_a_dropped_picture_leaves_other_rows_of_the_batch_alone(
    trained: Portrait, clip: PortraitClip
) -> None:
    red = clip.frames[20]
    told = conditions_of([(clip.audio, clip.expression, None)] * 2, [3, 3], 6, 1)
    told = replace(told, sees=torch.tensor([True, False]))
    both = {
        "noisy": trained.codec.encode(to_signed(clip.frames[3:9]))[None].repeat(2, 1, 1, 1, 1),
        "step": torch.tensor([600, 600]),
        "state": torch.tensor([[CLEAN] * 2 + [NOISY] * 4] * 2),
    }
    with torch.no_grad():
        seen = trained.see(trained.codec.encode(to_signed(np.stack([red, red]))))
        out = trained(**both, conditions=told, seen=seen)
    torch.testing.assert_close(out[:1], said(trained, clip, red), atol=1e-5, rtol=1e-4)
    alone = replace(
        conditions_of([(clip.audio, clip.expression, None)], [3], 6, 1),
        sees=torch.tensor([False]),
    )
    torch.testing.assert_close(
        out[1:], said(trained, clip, red, conditions=alone), atol=1e-5, rtol=1e-4
    )


def test_clean_frames_are_told_step_zero(trained: Portrait, clip: PortraitClip) -> None:
    clean = torch.full((1, 6), CLEAN)
    outs = [
        said(trained, clip, clip.frames[20], step=torch.tensor([t]), state=clean) for t in (0, 999)
    ]
    torch.testing.assert_close(outs[0], outs[1], atol=1e-4, rtol=1e-3)
    noisy = torch.full((1, 6), NOISY)
    outs = [
        said(trained, clip, clip.frames[20], step=torch.tensor([t]), state=noisy) for t in (0, 999)
    ]
    assert far(outs[0], outs[1]) > 1e-3


def test_frames_beyond_the_clip_are_not_known() -> None:
    audio = np.arange(8, dtype=np.float32).reshape(4, 2)
    alpha = np.arange(4, dtype=np.float32).reshape(4, 1)
    alpha[3] = np.nan
    told = conditions_of([(audio, alpha, None)], [-1], 6, 1)
    inside = [[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(told.inside[0].numpy(), np.array(inside, bool))
    np.testing.assert_array_equal(told.audio[0, 2].numpy(), audio[:3])
    assert told.expressed[0].tolist() == [False, True, True, True, False, False]
    assert told.expression[0, :, 0].tolist() == [0, 0, 1, 2, 0, 0]
    assert bool(told.hears[0] & told.feels[0] & told.sees[0])


def test_guidance_weights_by_hand() -> None:
    assert Guidance().cases() == [(True, True, True, 1.0)]
    assert Guidance(2.0, 2.0, 2.0).cases() == [(False, False, False, -1), (True, True, True, 2)]
    assert Guidance(2.0, 3.0, 5.0).cases() == [
        (False, False, False, -1), (True, False, False, -1), (True, True, False, -2),
        (True, True, True, 5),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="0 or more"):
        Guidance(audio=-1.0)


def test_one_sampling_step_is_the_weighted_sum_of_outputs(
    trained: Portrait, clip: PortraitClip
) -> None:
    sampling = Sampling(1, "ddim", Guidance(1.5, 2.0, 3.0), seed=5)
    frames = next(
        animate(
            trained, NoiseConfig(), clip.frames[20], clip.audio[:4], clip.expression[:4], sampling
        )
    )
    told = conditions_of([(clip.audio[:4], clip.expression[:4], None)], [-2], 6, 1)
    start = int(np.random.SeedSequence([5, 0]).generate_state(1, np.uint64)[0] >> 1)
    noise = draw_noise((4, 48, 8, 8), start)
    noisy = torch.cat([torch.zeros(2, 48, 8, 8), noise])[None]
    last = {"noisy": noisy, "step": torch.tensor([999])}
    last["state"] = torch.tensor([[ABSENT, ABSENT, NOISY, NOISY, NOISY, NOISY]])
    picture = clip.frames[20]

    def out(hears: bool, feels: bool, sees: bool) -> Tensor:
        c = told.told(hears, feels, sees)
        return said(trained, clip, picture, conditions=c, **last)[0, 2:]

    nothing, seen = out(False, False, False), out(False, False, True)
    heard, everything = out(True, False, True), out(True, True, True)
    mixed = (
        nothing + 1.5 * (seen - nothing) + 2 * (heard - seen) + 3 * (everything - heard)
    ).clamp(-1, 1)
    expected = to_bytes(trained.codec.decode(mixed)).astype(int)
    assert np.abs(frames.astype(int) - expected).max() <= 1  # rounding of sums in another order


@pytest.mark.parametrize("solver", ["ddim", "dpm++"])
def test_a_video_has_a_frame_for_each_and_its_chunks_hang_together(
    trained: Portrait, clip: PortraitClip, solver: str
) -> None:
    sampling = Sampling(3, solver)  # type: ignore[arg-type]
    done: list[int] = []
    parts = list(
        animate(
            trained, NoiseConfig(), clip.frames[20], clip.audio[:10], clip.expression[:10],
            sampling, progress=lambda n, total: done.append(n),
        )
    )  # fmt: skip
    assert [len(part) for part in parts] == [3, 3, 4]
    assert done == [3, 6, 10]
    again = list(
        animate(
            trained, NoiseConfig(), clip.frames[20], clip.audio[:10], clip.expression[:10], sampling
        )
    )
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(again))


def test_each_chunk_is_given_the_last_frames_of_the_one_before(
    trained: Portrait, clip: PortraitClip
) -> None:
    given: list[tuple[Tensor, list[int]]] = []

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        given.append((args[0][0, :2], args[2][0, :2].tolist()))

    handle = trained.register_forward_pre_hook(note)
    parts = list(
        animate(
            trained, NoiseConfig(), clip.frames[20], clip.audio[:10], clip.expression[:10],
            Sampling(2),
        )
    )  # fmt: skip
    handle.remove()
    assert len(given) == 3 * 2
    assert given[0][1] == [ABSENT, ABSENT]
    assert not given[0][0].any()
    for chunk in (1, 2):
        places, state = given[2 * chunk]
        assert state == [CLEAN, CLEAN]
        np.testing.assert_array_equal(to_bytes(trained.codec.decode(places)), parts[chunk - 1][-2:])


def test_chunks_cover_all_frames_evenly() -> None:
    assert chunks(10, 4) == [(0, 3), (3, 6), (6, 10)]
    assert chunks(1, 8) == [(0, 1)]
    for frames in range(1, 60):
        for most in (1, 2, 7, 14):
            found = chunks(frames, most)
            lengths = [b - a for a, b in found]
            assert sum(lengths) == frames
            assert max(lengths) <= most
            assert max(lengths) - min(lengths) <= 1


def test_what_does_not_fit_the_model_is_named(trained: Portrait, clip: PortraitClip) -> None:
    def run(picture: np.ndarray, audio: np.ndarray, alpha: np.ndarray) -> None:
        next(animate(trained, NoiseConfig(), picture, audio, alpha))

    frame = clip.frames[0]
    with pytest.raises(PortraitDataError, match=r"\(16, 16, 3\), the model wants \(32, 32, 3\)"):
        run(frame[::2, ::2], clip.audio, clip.expression)
    with pytest.raises(PortraitDataError, match="24 frames of sound, 20 of expression"):
        run(frame, clip.audio, clip.expression[:20])
    with pytest.raises(PortraitDataError, match="5 audio channels, the model was trained with 6"):
        run(frame, clip.audio[:, :5], clip.expression)
    with pytest.raises(ConfigError, match="0 sampling steps"):
        next(animate(trained, NoiseConfig(), frame, clip.audio, clip.expression, Sampling(steps=0)))


def test_a_video_goes_on_where_it_was_kept(trained: Portrait, clip: PortraitClip) -> None:
    kept: list[Motion] = []

    def draw(after: Motion | None = None) -> list[np.ndarray]:
        return list(
            animate(
                trained, NoiseConfig(), clip.frames[20], clip.audio[:10], clip.expression[:10],
                Sampling(2), after=after, keep=kept.append,
            )
        )  # fmt: skip

    whole = draw()
    assert [motion.start for motion in kept] == [3, 6, 10]
    for done, motion in enumerate(tuple(kept), start=1):
        rest = draw(motion)
        assert len(rest) == 3 - done
        for mine, theirs in zip(rest, whole[done:], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(PortraitDataError, match="no chunk begins at frame 5 of 10"):
        draw(Motion(5, kept[0].places))


def test_a_model_without_coefficients_does_not_read_them(
    tiny: NetworkConfig, clip: PortraitClip
) -> None:
    model = Portrait(replace(tiny, coefficients=False), 6, 3)
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    told = conditions_of([(clip.audio, clip.expression, None)], [3], 6, 1)
    other = replace(told, expression=-told.expression)
    a, b = (said(model, clip, clip.frames[20], conditions=c) for c in (told, other))
    assert torch.equal(a, b)
    silent = said(model, clip, clip.frames[20], conditions=told.told(False, True, True))
    assert far(a, silent) > 1e-6


def test_conditions_can_be_told_or_not() -> None:
    told = conditions_of([(np.zeros((3, 1)), np.zeros((3, 1)), None)], [0], 3, 0)
    assert isinstance(told, Conditions)
    some = told.told(True, False, True)
    assert (some.hears.item(), some.feels.item(), some.sees.item()) == (True, False, True)
    assert isinstance(Chain(NoiseConfig()), Chain)

"""From one picture, a voice and an expression track to frames, chunk by chunk."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from render.diffusion.codec import to_bytes, to_signed
from render.diffusion.conditions import Conditions
from render.diffusion.config import NoiseConfig
from render.diffusion.guidance import Guidance
from render.diffusion.noise import Chain, Solver, draw_noise
from render.diffusion.portrait import ABSENT, CLEAN, NOISY, Portrait
from render.diffusion.reference import Seen
from render.diffusion.tracks import conditions_of
from render.errors import PortraitDataError


@dataclass(frozen=True)
class Sampling:
    """How frames are sampled."""

    steps: int = 10
    """Steps of the chain back."""
    solver: Solver = "ddim"
    """`ddim`, or `dpm++` (DPM-Solver++ of second order: fewer steps)."""
    guidance: Guidance = field(default_factory=Guidance)
    """Scales; each condition with a scale of its own costs an evaluation more."""
    seed: int = 0
    """Of the noise."""


@dataclass(frozen=True)
class Motion:
    """Where a video can go on, and what the next chunk sees of the frames before."""

    start: int
    """First frame of the next chunk."""
    places: Float32[np.ndarray, "motion c h w"] | None
    """The last frames, as they are diffused; None: too few so far."""


def animate(
    model: Portrait,
    noise: NoiseConfig,
    picture: UInt8[np.ndarray, "s s 3"],
    audio: Float[np.ndarray, "frames audio_width"],
    expression: Float[np.ndarray, "rows k"],
    sampling: Sampling | None = None,
    asked: Float[np.ndarray, "asked told"] | None = None,
    progress: Callable[[int, int], None] | None = None,
    after: Motion | None = None,
    keep: Callable[[Motion], None] | None = None,
) -> Iterator[UInt8[np.ndarray, "chunk s s 3"]]:
    """Frames of a video, a chunk at a time; each chunk sees the last frames of the one before.

    Args:
        model: see `load_portrait`.
        noise: the chain it was trained with.
        picture: the person, cropped (`render.diffusion.picture`), at the model's size.
        audio: one vector a frame.
        expression: coefficients in the units the model was trained with; NaN: not known.
        sampling: how.
        asked: emotion of each frame (`render.diffusion.experts.told`), for models with experts.
        progress: told (frames done, frames in all).
        after: go on there: the frames are those of a run that never stopped.
        keep: given, before each chunk is yielded, what it takes to go on after it.

    Raises:
        PortraitDataError: sizes or lengths that do not fit.
    """
    sampling = sampling or Sampling()
    _check(model, picture, audio, expression)
    _check_asked(model, audio, asked)
    device = next(model.parameters()).device
    config = model.config
    chain = Chain(noise)
    # Not one round the whole: a caller's own code runs between two chunks.
    with torch.no_grad():
        seen = model.see(model.codec.encode(to_signed(picture)[None].to(device)))
    spans = chunks(len(audio), config.frames)
    before: Tensor | None = None
    if after is not None:
        spans = _rest(spans, after.start)
        before = None if after.places is None else torch.from_numpy(after.places).to(device)
    for start, stop in spans:
        state = torch.tensor(
            [
                [ABSENT if before is None else CLEAN] * config.motion_frames
                + [NOISY] * (stop - start)
            ]
        ).to(device)
        conditions = conditions_of(
            [(audio, expression, asked)], [start - config.motion_frames], state.shape[1],
            config.audio_margin,
        ).to(device)  # fmt: skip
        with torch.no_grad():
            places = _denoise(model, chain, seen, state, conditions, before, sampling, start)
            frames = to_bytes(model.codec.decode(places))
        if config.motion_frames:
            before = _motion(before, places, config.motion_frames)
        if keep is not None:
            keep(Motion(stop, None if before is None else before.cpu().numpy()))
        if progress is not None:
            progress(stop, len(audio))
        yield frames


def chunks(frames: int, most: int) -> list[tuple[int, int]]:
    """Nearly equal stretches of range(frames), none longer than `most`."""
    count = -(-frames // most)
    bounds = [frames * i // count for i in range(count + 1)]
    return list(itertools.pairwise(bounds))


def _rest(spans: list[tuple[int, int]], start: int) -> list[tuple[int, int]]:
    """Chunks from frame `start` on, which must begin one (or be the end)."""
    rest = [span for span in spans if span[0] >= start]
    if start != (rest[0][0] if rest else spans[-1][1]):
        raise PortraitDataError(
            f"portrait: no chunk begins at frame {start} of {spans[-1][1]}; go on with what the "
            "same video kept"
        )
    return rest


def _denoise(
    model: Portrait,
    chain: Chain,
    seen: Seen,
    state: Tensor,
    conditions: Conditions,
    before: Tensor | None,
    sampling: Sampling,
    start: int,
) -> Float[Tensor, "frames c h w"]:
    """Places of one chunk."""
    motion = model.config.motion_frames
    solver = chain.solver(sampling.solver, sampling.steps, model.config.space == "pixel")
    side = model.config.size // model.codec.step
    shape = (model.codec.channels, side, side)
    count = state.shape[1] - motion
    seed = int(np.random.SeedSequence([sampling.seed, start]).generate_state(1, np.uint64)[0] >> 1)
    places = draw_noise((count, *shape), seed).to(state.device)
    clean = before if before is not None else places.new_zeros(motion, *shape)
    for step in solver.timesteps:
        said = torch.zeros_like(places)
        for case in sampling.guidance.cases():
            told = conditions.told(case.hears, case.feels, case.sees)
            at = torch.full((1,), int(step), device=state.device)
            out = model(torch.cat([clean, places])[None], at, state, told, seen)[0, motion:]
            said += case.weight * out
        places = solver.step(said, step, places).prev_sample
    return places


def _motion(before: Tensor | None, places: Tensor, motion: int) -> Tensor | None:
    """The last frames so far; none while there are too few."""
    known = places if before is None else torch.cat([before, places])
    return known[-motion:] if len(known) >= motion else None


def _check(model: Portrait, picture: np.ndarray, audio: np.ndarray, expression: np.ndarray) -> None:
    size = model.config.size
    if picture.shape != (size, size, 3):
        raise PortraitDataError(
            f"portrait: the picture is {picture.shape}, the model wants {(size, size, 3)}; cut and "
            "shrink it (render.diffusion.picture)"
        )
    if len(audio) != len(expression) or not len(audio):
        raise PortraitDataError(
            f"portrait: {len(audio)} frames of sound, {len(expression)} of expression; give both "
            "for the same frames, at least one"
        )
    for what, mine, wanted in (
        ("audio channels", audio.shape[1], model.audio_width),
        ("coefficients", expression.shape[1], model.k),
    ):
        if mine != wanted:
            raise PortraitDataError(
                f"portrait: {mine} {what}, the model was trained with {wanted}; use the encoders "
                "it was trained with"
            )


def _check_asked(model: Portrait, audio: np.ndarray, asked: np.ndarray | None) -> None:
    if asked is None:
        return
    width = 0 if model.config.experts is None else model.config.experts.told_width
    if len(asked) != len(audio) or asked.shape[1] != width:
        raise PortraitDataError(
            f"portrait: an emotion of {len(asked)} frames in {asked.shape[1]} channels; the sound "
            f"has {len(audio)} frames, the model reads {width} channels (0: no experts)"
        )

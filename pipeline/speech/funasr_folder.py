"""FunASR model folders (config.yaml + model.pt), built from FunASR's own classes.

FunASR's `AutoModel` would do it too, but it seeds every random generator, sets the number of
threads, asks a server for updates, skips tensors that do not fit and only prints which are missing.
"""

import contextlib
import importlib.util
import io
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import WeightError
from pipeline.speech.kaldi_frontend import KaldiFrontend
from pipeline.weights.loading import torch_state


@dataclass(frozen=True)
class Parts:
    """A loaded folder."""

    model: Any
    tokenizer: Any
    frontend: Any
    config: dict[str, Any]


@cache
def funasr_tables() -> Any:
    """FunASR's registry of classes; importing it takes seconds, once a process.

    Raises:
        WeightError: FunASR is not installed.
    """
    if importlib.util.find_spec("funasr") is None:
        raise WeightError("funasr is not installed: `pip install 'emohead[paper]'`")
    level = logging.getLogger().level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from funasr.register import tables
    logging.getLogger().setLevel(level)
    return tables


def settings_of(folder: Path) -> dict[str, Any]:
    """The folder's config.yaml, its references resolved.

    Raises:
        WeightError: a file that is no such config.
    """
    from omegaconf import OmegaConf

    path = folder / "config.yaml"
    try:
        told = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # YAML's and OmegaConf's many ways to object
        raise WeightError(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict) or "model" not in told:
        raise WeightError(f"{path} names no model")
    return {str(key): value for key, value in told.items()}


def build(folder: Path) -> Parts:
    """Model, tokenizer and front end of a recogniser's folder, in evaluation mode.

    Raises:
        WeightError: a class FunASR does not know, or tensors that do not fit.
    """
    config = settings_of(folder)
    tokenizer = frontend = None
    if config.get("tokenizer"):
        told = dict(config.get("tokenizer_conf") or {})
        for key, patterns in (
            ("bpemodel", ("*.bpe.model", "bpe.model")),
            ("token_list", ("tokens.json", "tokens.txt")),
            ("seg_dict", ("seg_dict",)),
        ):
            found = [p for pattern in patterns for p in folder.glob(pattern)]
            if found:
                told[key] = str(found[0])
        tokenizer = class_of("tokenizer_classes", config["tokenizer"])(**told)
    if config.get("frontend"):
        if config["frontend"] not in ("WavFrontend", "wav_frontend"):
            raise WeightError(f"{folder} hears through {config['frontend']!r}, not WavFrontend")
        told = dict(config.get("frontend_conf") or {})
        if (folder / "am.mvn").is_file():
            told["cmvn_file"] = str(folder / "am.mvn")
        frontend = KaldiFrontend.from_config(told)
    arguments = dict(config.get("model_conf") or {}) | {
        key: value for key, value in config.items() if key not in ("model", "model_conf")
    }
    arguments |= {"tokenizer": tokenizer, "frontend": frontend, "vocab_size": _words(tokenizer)}
    arguments["input_size"] = None if frontend is None else frontend.output_size()
    model = constructed(config["model"], **arguments)
    load(model, folder, config)
    return Parts(model.eval(), tokenizer, frontend, config)


def load(model: Any, folder: Path, config: dict[str, Any]) -> None:
    """Fill a model from the folder's model.pt; what the model has must be there, and fit.

    Heads and decoders that serve training only may be left over, as FunASR leaves them.

    Raises:
        WeightError: missing or misshapen tensors, named.
    """
    state = torch_state(folder / "model.pt", ("state_dict", "model_state_dict", "model"))
    pairs = config.get("scope_map") or []
    for source, target in [*zip(pairs[::2], pairs[1::2], strict=False), ("d2v_model.", "none")]:
        old, new = ("" if str(end).lower() == "none" else str(end) for end in (source, target))
        state = {
            new + key.removeprefix(old) if old and key.startswith(old) else key: value
            for key, value in state.items()
        }
    wrong = []
    own = model.state_dict()
    for key, tensor in own.items():
        if key not in state:
            wrong.append(f"{key} is missing")
            continue
        if state[key].ndim == tensor.ndim - 1 and key.endswith("alibi_scale"):
            state[key] = state[key][None]  # older checkpoints lack the layer axis
        if state[key].shape != tensor.shape:
            wrong.append(f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}")
    if wrong:
        raise WeightError(
            f"{folder / 'model.pt'} does not fit {type(model).__name__}: {'; '.join(wrong[:4])}"
            + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        )
    model.load_state_dict({key: state[key] for key in own})


def constructed(name: Any, **arguments: Any) -> Any:
    """A model of FunASR's registry; the random numbers it is born with are nobody else's."""
    import torch

    kind = class_of("model_classes", name)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        return kind(**arguments)


def class_of(kind: str, name: Any) -> Any:
    """A class of FunASR's registry.

    Raises:
        WeightError: there is none of that name.
    """
    found = getattr(funasr_tables(), kind).get(name)
    if found is None:
        raise WeightError(f"FunASR has no {name!r} among its {kind}; is it a newer model?")
    return found


def _words(tokenizer: Any) -> int:
    if tokenizer is None:
        return -1
    listed = getattr(tokenizer, "token_list", None)
    return len(listed) if listed is not None else int(tokenizer.get_vocab_size())

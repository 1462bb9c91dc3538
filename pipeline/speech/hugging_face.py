"""Hugging Face folders: loaded offline, without foreign code, and only if nothing is missing."""

from pathlib import Path
from typing import Any

from pipeline.errors import WeightError


def pretrained(kind: Any, folder: Path, **settings: Any) -> Any:
    """A model in evaluation mode from a local folder.

    `.bin` files are read by `torch.load(weights_only=True)`, which transformers does since 4.50.

    Raises:
        WeightError: tensors that the model has and the folder lacks, or a folder it cannot read.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # heads that are not used are no news
    try:
        model, report = kind.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, **settings
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise WeightError(f"{folder} cannot be read by transformers: {reason}") from error
    finally:
        logging.set_verbosity(before)
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise WeightError(
            f"{folder} lacks {len(lacking)} tensors of {type(model).__name__}, e.g. {lacking[0]}; "
            "they would be random"
        )
    return model.eval()

"""A trained network beside what it has to beat, on every held-out part."""

from typing import Any

import numpy as np

from models.baselines import fit_mean, fit_ridge
from models.checkpoint import Checkpoint
from models.compatibility import check_store
from models.data import HELD_OUT, TrainingData
from models.validate import rmse, score


def compare(checkpoint: Checkpoint, data: TrainingData) -> list[dict[str, Any]]:
    """One row a held-out part that has clips: whitened RMSE of network, mean expression and ridge.

    `correlation` is the mean over coefficients, `target side` the share of frames on the tag's side
    of its hyperplane; both of the network. A plain transformer of the same size is trained by
    `emohead ablate --rows alignment`.

    Raises:
        CheckpointError: the network was trained on another store.
    """
    check_store(checkpoint, data)
    mean, ridge = fit_mean(data), fit_ridge(data)
    rows = []
    for split in HELD_OUT:
        clips = data.part(split)
        if not clips:
            continue  # the notes of the run say why it was not measured
        true = np.concatenate([data.whitened(clip) for clip in clips])
        own = score(checkpoint.model, data, clips, checkpoint.train.window, checkpoint.train.planes)
        still = np.concatenate([mean.predict(data, clip) for clip in clips])
        linear = np.concatenate([ridge.predict(data, clip) for clip in clips])
        rows.append(
            {
                "held out": split.removeprefix("held_out_"),
                "clips": len(clips),
                "RMSE": own["rmse"],
                "RMSE, mean expression": rmse(still, true),
                "RMSE, ridge regression": rmse(linear, true),
                "correlation": own["correlation"],
                "target side": own["emotion_side"],
            }
        )
    return rows

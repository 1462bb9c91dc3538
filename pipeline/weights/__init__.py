"""Weights that no wheel carries: which there are, where they lie, how they are checked."""

from pipeline.weights.registry import KNOWN, Weight
from pipeline.weights.shelf import Record, Shelf

__all__ = ["KNOWN", "Record", "Shelf", "Weight"]

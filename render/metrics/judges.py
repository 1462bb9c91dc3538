"""What measuring needs beside the videos: networks and programs, each loaded once or explained."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import WeightError
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics.action_units import openface

NETWORKS = {"lpips": "alexnet", "fid": "fid_inception", "sync": "syncnet", "er": "face_api"}
"""Which weight each judge is made of."""


@dataclass
class Judges:
    """The shelf of weights and the path of OpenFace; networks come when first asked for."""

    shelf: Shelf = field(default_factory=Shelf.usual)
    openface_path: Path | None = None
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def lpips(self) -> tuple[Any, str]:
        """AlexNet with LPIPS' heads, and its hash.

        Raises:
            MetricError: it cannot be had; so do all of these.
        """
        from render.metrics.perceptual import load_lpips

        return self._once("lpips", lambda: load_lpips(self.shelf))

    def inception(self) -> tuple[Any, str]:
        """FID's network, and its hash."""
        from render.metrics.inception import load_inception

        return self._once("fid", lambda: load_inception(self.shelf))

    def syncnet(self) -> tuple[Any, str]:
        """SyncNet, and its hash."""
        from render.metrics.syncnet import load_syncnet

        return self._once("sync", lambda: load_syncnet(self.shelf))

    def expressions(self) -> tuple[Any, str]:
        """The classifier of ER, and its hashes."""
        from render.metrics.expression_net import load_expression_net

        return self._once("er", lambda: load_expression_net(self.shelf))

    def openface(self) -> Path:
        """Path of OpenFace's FeatureExtraction."""
        return openface(self.openface_path)

    def identity(self) -> dict[str, Any]:
        """JSON-able: what results depend on. Results made with other judges are made again."""
        told: dict[str, Any] = {}
        for name, weight in NETWORKS.items():
            record = self.shelf.record(weight)
            told[name] = dict(sorted(record.files.items())) if record else None
        try:
            path = self.openface()
            told["openface"] = [str(path), path.stat().st_size, path.stat().st_mtime_ns]
        except MetricError:
            told["openface"] = None
        return told

    def _once(self, name: str, make: Callable[[], tuple[Any, str]]) -> tuple[Any, str]:
        if name not in self._loaded:
            try:
                self._loaded[name] = make()
            except (MetricError, WeightError) as error:
                self._loaded[name] = MetricError(str(error))
        found = self._loaded[name]
        if isinstance(found, MetricError):
            raise found
        return found

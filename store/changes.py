"""What a write session changes, as a record that can be applied to any tip of the store."""

from dataclasses import dataclass, field

from store.fork import Slot, WrittenClip
from store.hyperplanes import Planes
from store.planning import EncoderKey
from store.schema import ClipRow


@dataclass
class Changes:
    """Clips written, rows updated, clips removed, hyperplanes put."""

    rows: dict[str, ClipRow] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    written: dict[str, WrittenClip] = field(default_factory=dict)
    updated: dict[str, ClipRow] = field(default_factory=dict)
    """Clips of which nothing changes but what the clip table says of them."""
    removed: list[str] = field(default_factory=list)
    planes: dict[tuple[str, str], Planes] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    """Features whose array is new, so that no cell of them is left."""
    encoders: dict[str, EncoderKey] = field(default_factory=dict)
    """Who makes the cells of a feature, where the writer said so."""

    def __bool__(self) -> bool:
        """False if there is nothing to commit."""
        return bool(self.written or self.updated or self.removed or self.planes)

    def facts(self) -> dict[str, int]:
        """Counts for the commit's metadata."""
        return {
            "clips_written": len(self.written),
            "cells_valid": sum(len(clip.valid) for clip in self.written.values()),
            "cells_rejected": sum(len(clip.rejected) for clip in self.written.values()),
            "clips_removed": len(self.removed),
            "rows_updated": len(self.updated),
            "hyperplanes": len(self.planes),
        }

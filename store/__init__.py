"""The cache: a versioned store of aligned features in icechunk and zarr."""

from store.compaction import Compaction, compact
from store.differences import Diff, Difference, diff
from store.errors import (
    CellAbsentError,
    CellError,
    CellRejectedError,
    ConflictError,
    CorruptionError,
    ExportError,
    LocationError,
    NoStoreError,
    PackError,
    PlanError,
    SchemaError,
    StoreError,
    UnknownError,
    VersionError,
    WindowError,
    WriteError,
)
from store.exporting import Export, export
from store.fingerprints import fingerprint
from store.fork import Batch, ClipWrite, Fork, Slot, write_clip
from store.image_codec import ImageCodec
from store.migration import Migration, migrate
from store.packs import Pack, evict, pack
from store.planning import EncoderKey, Plan, PlannedCell, SourceKey, plan
from store.read import Snapshot
from store.recovery import fall_back
from store.repository import Cache, LogEntry
from store.row_facts import RowChange, row_changes
from store.sampling import EpochSampler, WindowDataset
from store.schema import BLOCK_FRAMES, SCHEMA_VERSION, ClipRow, FeatureSchema
from store.session import WriteSession
from store.validate import Problem, Report

__all__ = [
    "BLOCK_FRAMES",
    "SCHEMA_VERSION",
    "Batch",
    "Cache",
    "CellAbsentError",
    "CellError",
    "CellRejectedError",
    "ClipRow",
    "ClipWrite",
    "Compaction",
    "ConflictError",
    "CorruptionError",
    "Diff",
    "Difference",
    "EncoderKey",
    "EpochSampler",
    "Export",
    "ExportError",
    "FeatureSchema",
    "Fork",
    "ImageCodec",
    "LocationError",
    "LogEntry",
    "Migration",
    "NoStoreError",
    "Pack",
    "PackError",
    "Plan",
    "PlanError",
    "PlannedCell",
    "Problem",
    "Report",
    "RowChange",
    "SchemaError",
    "Slot",
    "Snapshot",
    "SourceKey",
    "StoreError",
    "UnknownError",
    "VersionError",
    "WindowDataset",
    "WindowError",
    "WriteError",
    "WriteSession",
    "compact",
    "diff",
    "evict",
    "export",
    "fall_back",
    "fingerprint",
    "migrate",
    "pack",
    "plan",
    "row_changes",
    "write_clip",
]

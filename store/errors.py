"""Everything the store can refuse, grouped by what a caller would do about it.

StoreError
├── LocationError      the store is not where it was looked for (create it, or correct the path)
│   └── NoStoreError         the place can be reached, and holds none yet (run preprocessing)
├── SchemaError        the store and this program disagree on the form (update, migrate, replace)
│   └── VersionError         a schema version that this program must not touch (update, migrate)
├── UnknownError       no such snapshot, dataset, feature or clip (look at what there is)
├── CellError          the cell holds no value to read
│   ├── CellAbsentError      never computed (run preprocessing)
│   └── CellRejectedError    computed and refused, with a reason (look at the clip)
├── WindowError        a window that does not lie inside its clip (correct the window)
├── WriteError         data that do not fit what was planned (correct the writer)
├── PlanError          a plan that cannot be made (correct the profile)
├── ConflictError      another writer was first, again and again (run again)
├── CorruptionError    stored bytes that cannot be read back (re-plan those cells)
├── PackError          a pack that is damaged or does not hold what is asked (build it again)
└── ExportError        an export that cannot be written where it was wanted (choose another folder)
"""


class StoreError(Exception):
    """Root of the tree: what the store can refuse."""


class LocationError(StoreError):
    """There is no store at the location, or it cannot be made or reached."""


class NoStoreError(LocationError):
    """The location can be reached and holds no store."""


class SchemaError(StoreError):
    """The stored form and the asked form differ."""


class VersionError(SchemaError):
    """The store is of a schema version that this program must not read, or must not write."""


class UnknownError(StoreError, LookupError):
    """A snapshot, dataset, feature or clip that the store does not know."""


class CellError(StoreError, LookupError):
    """The cell (clip, feature) holds no value."""


class CellAbsentError(CellError):
    """The cell was never computed."""


class CellRejectedError(CellError):
    """The cell was rejected with a reason."""


class WindowError(StoreError, IndexError):
    """A window outside its clip."""


class WriteError(StoreError, ValueError):
    """Data that do not fit their schema, their extent or their plan."""


class PlanError(StoreError, ValueError):
    """A plan that cannot be made from what was given."""


class ConflictError(StoreError):
    """Other writers kept committing first."""


class CorruptionError(StoreError):
    """Stored bytes that do not decode."""


class PackError(StoreError):
    """A pack that cannot serve what is asked."""


class ExportError(StoreError):
    """An export that cannot be written."""

"""What stops a flow.

FlowError
├── NothingToDo     every clip was rejected, or what is needed is not in the store
├── StoreDamaged    the store does not hold against itself
├── ServerAway      the Prefect server that is set up does not answer, or went away
├── ClusterGone     the Dask cluster cannot be reached, or went away
└── StoreBusy       another run works on the store
"""


class FlowError(Exception):
    """Root of the errors this layer raises on purpose."""


class NothingToDo(FlowError):
    """No useful result is possible from what was given; the text says why and what would help."""


class StoreDamaged(FlowError):
    """Validation found damage; the text names it and the cure."""


class ServerAway(FlowError):
    """The Prefect server that is set up does not answer."""


class ClusterGone(FlowError):
    """The Dask cluster cannot be reached, does not fit, or went away during the work."""


class StoreBusy(FlowError):
    """Another run works on the store, and did not end in the time that was to be waited."""

"""What stops a flow.

FlowError
├── NothingToDo     every clip was rejected, or what is needed is not in the store
└── WorkerDied      a worker process ended without an answer
"""


class FlowError(Exception):
    """Root of the errors this layer raises on purpose."""


class NothingToDo(FlowError):
    """No useful result is possible from what was given; the text says why and what would help."""


class WorkerDied(FlowError):
    """A worker process ended without an answer (killed, out of memory, a crash in native code)."""

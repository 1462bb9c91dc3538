"""A structured log: one JSON object a line, with the same few fields whatever happened.

Events go to the logger `emohead`. `--log-json FILE` (or EMOHEAD_LOG_JSON) writes them as lines; a
Prefect worker shows them with the run after PREFECT_LOGGING_EXTRA_LOGGERS=emohead. Nobody listens:
an event costs a microsecond.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.errors import FlowError

LOG = logging.getLogger("emohead")

FIELDS = ("run", "store", "dataset", "clip", "stage", "seconds", "reason")
"""Fields of every line besides time, level and event; null where they say nothing."""


def tell(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event. A field that is None is not there."""
    if LOG.isEnabledFor(level):
        told = {name: value for name, value in fields.items() if value is not None}
        words = " ".join(f"{name}={value}" for name, value in told.items())
        LOG.log(level, "%s %s", event, words, extra={"event": event, "fields": told})


class JsonLines(logging.Formatter):
    """Records as JSON objects, one a line; times are UTC, ISO 8601."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.getMessage()),
            **dict.fromkeys(FIELDS),
            **fields,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def logs() -> bool:
    """Whether events are written as lines already."""
    return any(isinstance(handler.formatter, JsonLines) for handler in LOG.handlers)


def log_to(target: str) -> None:
    """Write events to a file (appended), or with "-" to standard error, from now on.

    Raises:
        FlowError: the file cannot be written.
    """
    try:
        handler = (
            logging.StreamHandler(sys.stderr)
            if target == "-"
            else logging.FileHandler(Path(target), encoding="utf-8")
        )
    except OSError as error:
        raise FlowError(f"--log-json {target} cannot be written: {error.strerror}") from error
    handler.setFormatter(JsonLines())
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False

"""Which encoders made the cells of a feature: recorded beside the fingerprints, newest last.

A fingerprint proves its encoder: it is the hash of the encoder's identity, the clip's content and
the fingerprints above. So a short list per feature tells for every single cell who made it.
"""

from typing import Any

import zarr

from store.fingerprints import canonical_json
from store.planning import EncoderKey
from store.schema import cells_path

ENCODERS = "encoders"
"""Attribute of the array `cells/<feature>`."""

REMEMBERED = 32
"""Encoders kept per feature: attributes travel with every snapshot."""


def stored_encoders(group: zarr.Group, feature: str) -> list[EncoderKey]:
    """Encoders recorded for a feature, oldest first; none in stores of schema version 1."""
    found = group.get(cells_path(feature))
    records: Any = found.attrs.get(ENCODERS, []) if isinstance(found, zarr.Array) else []
    return [EncoderKey(feature, r["identity"], tuple(r["upstream"])) for r in records]


def record_encoder(group: zarr.Group, key: EncoderKey) -> None:
    """Make an encoder the newest of its feature; nothing is written if it is already."""
    array = group[cells_path(key.feature)]
    record = _record(key)
    text = canonical_json(record)
    before = [_record(other) for other in stored_encoders(group, key.feature)]
    if before and canonical_json(before[-1]) == text:
        return
    others = [other for other in before if canonical_json(other) != text]
    array.attrs[ENCODERS] = [*others, record][-REMEMBERED:]


def _record(key: EncoderKey) -> dict[str, Any]:
    return {"identity": dict(key.identity), "upstream": list(key.upstream)}

"""A cell's fingerprint: the hash of all that determines its value."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

FINGERPRINT_CHARS = 32
"""Hex digits kept of the sha256: 128 bits."""


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no blanks; NaN and foreign types are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Fingerprinter:
    """Fingerprints of one encoder over many clips: the encoder's part is hashed once."""

    def __init__(self, identity: Mapping[str, Any], upstream: Sequence[str] = ()) -> None:
        """`identity`: JSON-able name, version, config, weights; `upstream`: features it reads."""
        self.upstream = tuple(sorted(upstream))
        head = canonical_json({"encoder": identity, "upstream": self.upstream})
        self._head = hashlib.sha256(head.encode())

    def of_many(self, contents: Sequence[bytes], upstream: Sequence[Sequence[str]]) -> list[str]:
        """Fingerprints for many clips: `contents` encoded, a sequence per upstream feature."""
        copy = self._head.copy
        if upstream:
            above = map("\x1f".join, zip(*upstream, strict=True))
            texts = [c + b"\x1f" + a.encode() for c, a in zip(contents, above, strict=True)]
        else:
            texts = contents
        made = []
        for text in texts:
            digest = copy()
            digest.update(text)
            made.append(digest.hexdigest()[:FINGERPRINT_CHARS])
        return made

    def of(self, content: str, upstream_fingerprints: Sequence[str] = ()) -> str:
        """Fingerprint for one clip; upstream fingerprints in the order of `self.upstream`."""
        digest = self._head.copy()
        # \x1f never occurs in hashes or names, so no two inputs share a spelling.
        digest.update("\x1f".join((content, *upstream_fingerprints)).encode())
        return digest.hexdigest()[:FINGERPRINT_CHARS]


def fingerprint(
    content: str, encoder_identity: Mapping[str, Any], upstream: Mapping[str, str] | None = None
) -> str:
    """Fingerprint of a cell.

    `content`: the clip's content hash; `encoder_identity`: JSON-able name, version, config and
    weights of the encoder; `upstream`: fingerprint of each feature that the encoder reads.
    """
    given = dict(upstream or {})
    maker = Fingerprinter(encoder_identity, tuple(given))
    return maker.of(content, [given[name] for name in maker.upstream])

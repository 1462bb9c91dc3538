"""The invisible mark of a synthetic video: XMP that says so in IPTC's words, and what made it.

`Iptc4xmpExt:DigitalSourceType` = trainedAlgorithmicMedia is IPTC's word for media made by a trained
model (https://cv.iptc.org/newscodes/digitalsourcetype/). In MP4 and MOV the packet lies in a `uuid`
box at the end of the file (XMP specification, part 3); WebM has no place for XMP: its tags say the
same.
"""

import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from render.errors import VideoError

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SENTENCE = "Synthetic media: made by a trained model, not recorded."
UUID = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
"""Extended type of an ISO base media box that holds XMP."""
PROVENANCE = "urn:emohead:provenance:1"
_BOXED = (".mp4", ".mov")
_SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "emohead": PROVENANCE,
}
_XML = "http://www.w3.org/XML/1998/namespace"


def xmp_packet(tool: str, provenance: Mapping[str, str]) -> bytes:
    """An XMP packet: source type, a sentence for people, and where the video comes from.

    Args:
        tool: name and version of what made it.
        provenance: words without blanks as keys, e.g. {"head": "sha256:…"}.
    """
    for prefix, uri in _SPACES.items():
        ET.register_namespace(prefix, uri)

    def name(prefix: str, local: str) -> str:
        return f"{{{_SPACES[prefix]}}}{local}"

    meta = ET.Element(name("x", "xmpmeta"))
    body = ET.SubElement(
        ET.SubElement(meta, name("rdf", "RDF")),
        name("rdf", "Description"),
        {name("rdf", "about"): ""},
    )
    ET.SubElement(body, name("Iptc4xmpExt", "DigitalSourceType")).text = SOURCE_TYPE
    ET.SubElement(body, name("xmp", "CreatorTool")).text = tool
    words = ET.SubElement(ET.SubElement(body, name("dc", "description")), name("rdf", "Alt"))
    ET.SubElement(words, name("rdf", "li"), {f"{{{_XML}}}lang": "x-default"}).text = SENTENCE
    for key, value in provenance.items():
        ET.SubElement(body, name("emohead", key)).text = value
    text = ET.tostring(meta, encoding="unicode")
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return f'{begin}\n{text}\n<?xpacket end="r"?>'.encode()


def tags(tool: str, provenance: Mapping[str, str]) -> dict[str, str]:
    """What every container says in its own tags, for players and for WebM."""
    return {
        "comment": f"{SENTENCE} DigitalSourceType={SOURCE_TYPE}",
        "encoder_tool": tool,
        "digital_source_type": SOURCE_TYPE,
        "provenance": json.dumps(dict(provenance)),
    }


def add_xmp(path: Path, packet: bytes) -> bool:
    """Append the packet to an MP4 or MOV file; False where the container has no place for it.

    Raises:
        VideoError: the file's boxes do not end where the file ends.
    """
    if path.suffix.lower() not in _BOXED:
        return False
    boxes(path)
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + UUID + packet)
    return True


def read_xmp(path: Path) -> bytes | None:
    """The packet of an MP4 or MOV file; None if there is none.

    Raises:
        VideoError: the file's boxes do not end where the file ends.
    """
    for kind, start, size in boxes(path):
        if kind == b"uuid":
            with path.open("rb") as file:
                file.seek(start)
                body = file.read(size)
            if body[8:24] == UUID:
                return body[24:]
    return None


def boxes(path: Path) -> list[tuple[bytes, int, int]]:
    """(type, offset, size) of the outermost boxes of an ISO base media file.

    Raises:
        VideoError: they do not end where the file ends.
    """
    found: list[tuple[bytes, int, int]] = []
    length = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at < length:
            file.seek(at)
            head = file.read(16)
            size, kind = struct.unpack(">I4s", head[:8]) if len(head) >= 8 else (0, b"")
            if size == 1 and len(head) == 16:
                size = struct.unpack(">Q", head[8:])[0]
            if size < 8 or at + size > length:
                raise VideoError(
                    f"{path.name}: the box at byte {at} of {length} claims {size} bytes; the file "
                    "is damaged, write it again"
                )
            found.append((kind, at, size))
            at += size
    return found

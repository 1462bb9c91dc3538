"""What the numbers of a picture mean: matrix, range, and high dynamic range brought to SDR.

Stored frames are 8-bit SDR with BT.709 primaries. HDR (PQ or HLG, BT.2020) goes through one 3D
table, made here, because the filters that could do it (zscale, libplacebo) are not in PyAV's
ffmpeg. Sources: ITU-R BT.2100 (PQ, HLG, OOTF), BT.2087 (2020 to 709), BT.2408 (white: 203 nits).
"""

import functools
import tempfile
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float64

PQ, HLG = "pq", "hlg"
_TRANSFER = {16: PQ, 18: HLG}
"""AVColorTransferCharacteristic of high dynamic range (ITU-T H.273 table 3)."""
_MATRIX = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
_MATRIX[10] = "bt2020"
"""AVColorSpace to the names of ffmpeg's scale filter."""
_RANGE = {1: "tv", 2: "pc"}
WHITE = 203.0
"""Nits of a white page in HDR; it becomes nearly SDR white."""
KNEE = 0.6
"""Share of SDR white up to which light passes unchanged; above, highlights are rolled off."""
_SIDE = 33
"""Grid points of the table along each axis: its median error is below half of 1/255 (tested)."""
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


def hdr_kind(frame: av.VideoFrame) -> str:
    """`pq`, `hlg`, or "" for standard range."""
    return _TRANSFER.get(int(frame.color_trc), "")


def matrix_of(frame: av.VideoFrame) -> str:
    """YUV matrix; where the file does not say, what players assume: 709 from 720p on, else 601."""
    known = _MATRIX.get(int(frame.colorspace))
    if known is not None:
        return known
    return "bt709" if frame.width >= 1280 or frame.height > 576 else "smpte170m"


def range_of(frame: av.VideoFrame) -> str:
    """`pc` (0-255) or `tv` (16-235), by the frame's flag, else by its format."""
    return _RANGE.get(
        int(frame.color_range), "pc" if frame.format.name.startswith("yuvj") else "tv"
    )


def to_linear(
    signal: Float64[np.ndarray, "*shape 3"], kind: str
) -> Float64[np.ndarray, "*shape 3"]:
    """Nits on a 1000-nit screen of non-linear HDR R'G'B' in [0, 1] (BT.2100 tables 4 and 5)."""
    if kind == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = np.maximum(signal, 0) ** (1 / m2)
        return 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return 1000 * scene * np.maximum(luminance, 1e-9)[..., None] ** 0.2


def to_sdr(signal: Float64[np.ndarray, "*shape 3"], kind: str) -> Float64[np.ndarray, "*shape 3"]:
    """Non-linear HDR R'G'B' (BT.2020) to non-linear SDR R'G'B' (BT.709), both in [0, 1].

    Light is scaled so that `WHITE` is 1; the largest of the three channels is rolled off above
    `KNEE` and takes the others along, so that hues stay.
    """
    light = np.maximum(to_linear(signal, kind) @ _TO_709.T, 0) / WHITE
    top = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
    rolled = KNEE + (1 - KNEE) * (1 - np.exp(-(top - KNEE) / (1 - KNEE)))
    return (light * np.where(top > KNEE, rolled / top, 1.0)) ** (1 / 2.4)


@functools.cache
def table(kind: str) -> Path:
    """File of the look-up table (`.cube`), made once a process."""
    axis = np.linspace(0, 1, _SIDE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    values = to_sdr(np.stack([red, green, blue], -1), kind).reshape(-1, 3)
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in values)
    folder = Path(tempfile.mkdtemp(prefix="emohead-"))
    path = folder / f"{kind}.cube"
    path.write_text(f"LUT_3D_SIZE {_SIDE}\n{lines}\n")
    return path


def developing_steps(frame: av.VideoFrame, size: str, kernel: str) -> list[tuple[str, str]]:
    """Filters from the frame's own colours to SDR RGB of `size` ("width:height")."""
    scale = (
        f"{size}:flags={kernel}:in_color_matrix={matrix_of(frame)}:in_range={range_of(frame)}"
        ":out_range=pc"
    )
    kind = hdr_kind(frame)
    if not kind:
        return [("scale", scale), ("format", "pix_fmts=rgb24")]
    return [
        ("scale", scale),
        ("format", "pix_fmts=gbrp16le"),
        ("lut3d", f"file={table(kind).as_posix()}:interp=tetrahedral"),
        ("scale", "flags=accurate_rnd"),
        ("format", "pix_fmts=rgb24"),
    ]

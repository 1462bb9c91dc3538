"""Every metric: what it is called, in which unit, which way is better, and its formula.

`docs/metrics.md` says more; the tables take names and order from here.
"""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near zero", ""]


@dataclass(frozen=True)
class Metric:
    """One row of the catalogue."""

    key: str
    name: str
    """As tables show it."""
    unit: str
    better: Better
    formula: str
    of: Literal["pair", "one", "set"] = "pair"
    """Two videos frame by frame, one video alone, or many videos together."""
    needs: str = ""
    """Weights or program, where it needs any."""
    column: str = ""
    """The column of the paper's tables it stands under; empty: the paper has none."""


_ROWS = (
    Metric("psnr", "PSNR", "dB", "higher", "−10 log₁₀ MSE of RGB in [0, 1] a frame, mean over"
           " frames", column="PSNR"),
    Metric("ssim", "SSIM", "", "higher", "scikit-image, 7 px window, whole frame, mean over frames",
           column="SSIM"),
    Metric("lpips", "LPIPS", "", "lower", "AlexNet, heads of version 0.1, mean over frames",
           needs="alexnet"),
    Metric("m_lmd", "M-LMD", "px", "lower", "mouth points (iBUG 49-68), each frame's mean taken off"
           " both, mean distance", column="M-LMD"),
    Metric("f_lmd", "F-LMD", "px", "lower", "the same over all 68 points", column="F-LMD"),
    Metric("m_lmd_eyes", "M-LMD", "% of eye distance", "lower", "M-LMD over the reference's"
           " distance of the outer eye corners"),
    Metric("f_lmd_eyes", "F-LMD", "% of eye distance", "lower", "F-LMD over the reference's"
           " distance of the outer eye corners"),
    Metric("fid", "FID", "", "lower", "Fréchet distance of Inception-v3 features of all frames",
           of="set", needs="fid_inception", column="FID"),
    Metric("aue", "AUE", "", "lower", "Σ over 17 action units of the mean squared difference of"
           " intensities (OpenFace 2.2)", needs="OpenFace 2.2", column="AUE"),
    Metric("aue_lower", "AUE, lower face", "", "lower", "AU 10 12 14 15 17 20 23 25 26",
           needs="OpenFace 2.2"),
    Metric("aue_upper", "AUE, upper face", "", "lower", "AU 1 2 4 5 6 7 9 45",
           needs="OpenFace 2.2"),
    Metric("lse_c", "Sync (LSE-C)", "", "higher", "median − minimum over shifts of ±15 frames of"
           " SyncNet's mean distance", of="one", needs="syncnet", column="Sync"),
    Metric("lse_d", "LSE-D", "", "lower", "that minimum", of="one", needs="syncnet"),
    Metric("sync_offset", "SyncNet offset", "frames", "near zero", "the shift of that minimum",
           of="one", needs="syncnet"),
    Metric("er", "ER", "%", "higher", "frames in which a classifier sees the wanted emotion",
           of="one", needs="face_api", column="ER"),
    Metric("hyperplane", "On the target side", "%", "higher", "frames with w_z·α + b > 0, α"
           " measured from the video and whitened by the identity's statistics", of="one"),
    Metric("av_lag", "Sound after lips", "ms", "near zero", "shift at which mouth opening and"
           " loudness agree best", of="one"),
    Metric("av_correlation", "Lips with loudness", "", "higher", "their correlation at that shift",
           of="one"),
    Metric("jitter", "Jitter", "% of eye distance", "lower", "mean |xᵢ₊₁ − 2xᵢ + xᵢ₋₁| of the 68"
           " points over the mean eye distance", of="one"),
    Metric("identity", "Same shape of face", "", "higher", "cosine between the mean rigid shapes'"
           " deviations from the canonical face"),
    Metric("identity_distance", "Shape distance", "% of eye distance", "lower", "RMS distance of"
           " the two mean rigid shapes after alignment"),
)  # fmt: skip

CATALOGUE: dict[str, Metric] = {row.key: row for row in _ROWS}
"""By key, in the order of tables."""

PAIR = tuple(key for key, row in CATALOGUE.items() if row.of == "pair")
ONE = tuple(key for key, row in CATALOGUE.items() if row.of == "one")

"""What bundling does to poses: a focal length, the person's own shape; on truth and real clips.

`python -m benchmarks.pose CLIP...`

Sample clips with known pose: median angle to the truth after taking out the constant turn between
the two heads' axes, and the slope of yaw and pitch against the truth (1 is right). Real clips:
median reprojection error in pixels at 256, over focal lengths, with the template's shape and with
the clip's own.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.face import rigid
from pipeline.face.pose import PoseConfig, solve
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.samples import make_samples
from pipeline.scan import scan

FOCALS = (1.5, 2.0, 3.0, 4.0, 6.0, 12.0)
ROUNDS = (0, 3)


def landmarks_of(path: Path) -> np.ndarray:
    """Landmarks of a clip's frames with a face."""
    result = process_clip(scan(path).clips[0], ["face/landmarks"], load_profile())
    return result.arrays["face/landmarks"]


def against_truth(points: np.ndarray, true: np.ndarray, config: PoseConfig) -> tuple[float, ...]:
    """Median angle in degrees, slopes of yaw and pitch, and milliseconds a frame."""
    began = time.perf_counter()
    cameras, _ = solve(points, config)
    taken = 1000 * (time.perf_counter() - began) / len(points)
    found = cameras[:, :, :3].astype(float)
    u, _, vt = np.linalg.svd(np.einsum("nji,njk->ik", true, found))
    between = true @ (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
    off = np.linalg.norm(rigid.log_rotation(found @ between.transpose(0, 2, 1)), axis=1)
    ahead, truth = -found[:, :, 2], -between[:, :, 2]
    yaw = [np.arctan2(axis[:, 0], -axis[:, 2]) for axis in (ahead, truth)]
    pitch = [np.arcsin(axis[:, 1]) for axis in (ahead, truth)]
    slopes = [float(np.polyfit(true_, seen, 1)[0]) for seen, true_ in (yaw, pitch)]
    return float(np.degrees(np.median(off))), *slopes, taken


def main(*clips: str) -> None:
    """Print both tables."""
    print("| sample | own shape | focal | angle off, ° | yaw slope | pitch slope | ms a frame |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for identity in ("iris", "milo"):
            make_samples(
                Path(folder), identities=[identity], emotions=["neutral"], sentences=["s5"]
            )
        for path in sorted(Path(folder).glob("*.mp4")):
            truth = json.loads(path.with_suffix(".json").read_text())["truth"]
            true, points = np.array(truth["pose"]["rotation"]), landmarks_of(path)
            for rounds in ROUNDS:
                for focal in (2.0, 4.0, 8.0):
                    config = PoseConfig(focal_factor=focal, bundle=rounds)
                    off, yaw, pitch, taken = against_truth(points, true, config)
                    print(
                        f"| {path.stem} | {'yes' if rounds else 'no'} | {focal:g} | {off:.2f} "
                        f"| {yaw:.2f} | {pitch:.2f} | {taken:.2f} |",
                        flush=True,
                    )
    header = " | ".join(f"f = {focal:g}" for focal in FOCALS)
    print(f"\n| clip | own shape | {header} |\n|---|---|{'---:|' * len(FOCALS)}")
    for clip in clips:
        points = landmarks_of(Path(clip))
        for rounds in ROUNDS:
            errors = [
                np.nanmedian(solve(points, PoseConfig(focal_factor=f, bundle=rounds))[1])
                for f in FOCALS
            ]
            cells = " | ".join(f"{error:.2f}" for error in errors)
            print(f"| {Path(clip).stem} | {'yes' if rounds else 'no'} | {cells} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

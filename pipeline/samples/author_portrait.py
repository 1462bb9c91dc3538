"""Write `portrait.npz`: face landmarks of the photograph and of its mirror image, and the matte.

Run once (`python -m pipeline.samples.author_portrait`). The result is committed, so that clips
are the same on machines whose face mesh differs in the last bits, and start without loading a
model.
"""

from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np

from pipeline.samples.portrait import WINDOW, enlarge, photograph_window


def _landmarks(image: np.ndarray) -> np.ndarray:
    solution = mp.solutions.face_mesh.FaceMesh(  # pyright: ignore[reportAttributeAccessIssue]
        static_image_mode=True, refine_landmarks=True, max_num_faces=1
    )
    with solution as mesh:
        face = mesh.process(np.ascontiguousarray(image)).multi_face_landmarks[0]
    points = np.array([(p.x, p.y, p.z) for p in face.landmark]) * WINDOW
    return points - (WINDOW / 2, WINDOW / 2, 0)


def _matte(image: np.ndarray) -> np.ndarray:
    module = mp.solutions.selfie_segmentation  # pyright: ignore[reportAttributeAccessIssue]
    solution = module.SelfieSegmentation(model_selection=0)
    with solution as segmentation:
        mask = segmentation.process(np.ascontiguousarray(image)).segmentation_mask
    guide = image.astype(np.float32) / 255
    return cv2.ximgproc.guidedFilter(guide, mask, 9, 1e-4).clip(0, 1)


def main() -> None:
    """Author the facts of the portrait."""
    image = enlarge(photograph_window())
    matte = cv2.resize(_matte(image), (2 * WINDOW, 2 * WINDOW), interpolation=cv2.INTER_AREA)
    np.savez_compressed(
        Path(__file__).parent / "portrait.npz",
        landmarks_plain=_landmarks(image).astype(np.float32),
        landmarks_mirrored=_landmarks(image[:, ::-1]).astype(np.float32),
        matte=(matte * 255).round().astype(np.uint8),
    )


if __name__ == "__main__":
    main()

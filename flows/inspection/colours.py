"""One colour for each of the 19 labels, wherever masks are shown."""

from pipeline.face.labels import LABELS

PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (232, 190, 160),
    (150, 100, 70),
    (120, 76, 50),
    (80, 160, 220),
    (50, 120, 200),
    (90, 90, 100),
    (240, 150, 120),
    (226, 130, 104),
    (250, 210, 90),
    (244, 214, 120),
    (120, 30, 50),
    (222, 84, 110),
    (196, 56, 92),
    (206, 160, 130),
    (230, 210, 130),
    (96, 140, 120),
    (130, 96, 160),
    (170, 130, 90),
)
"""Red, green, blue by label number."""

if len(PALETTE) != len(LABELS):
    raise ImportError(f"{len(PALETTE)} colours for {len(LABELS)} labels")

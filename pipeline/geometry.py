"""The square that is cut out of every frame of a clip."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Square:
    """A square in displayed pixels of the source (upright, square pixels), inside the picture."""

    x: int
    """Left edge, pixels from the left."""
    y: int
    """Upper edge, pixels from the top."""
    side: int
    """Width and height, pixels."""

    def as_fact(self) -> dict[str, int]:
        """For the clip's record."""
        return asdict(self)


def fit_square(centre: tuple[float, float], side: float, picture: tuple[int, int]) -> Square:
    """The square nearest to the wanted one that lies inside a picture of (width, height).

    Edges are even: chroma of most video comes in pairs of pixels.
    """
    width, height = picture
    inside = min(round(side / 2) * 2, width // 2 * 2, height // 2 * 2)
    left = min(max(centre[0] - inside / 2, 0), width - inside)
    top = min(max(centre[1] - inside / 2, 0), height - inside)
    return Square(int(left) // 2 * 2, int(top) // 2 * 2, inside)

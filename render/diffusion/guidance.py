"""Classifier-free guidance with a scale each for picture, sound and expression."""

from dataclasses import dataclass
from typing import NamedTuple

from render.errors import ConfigError


class Case(NamedTuple):
    """One evaluation of the network, and what its output counts."""

    sees: bool
    hears: bool
    feels: bool
    weight: float


@dataclass(frozen=True)
class Guidance:
    """Scales; 1 everywhere is the conditional model as it is, 0 leaves out what a condition adds.

    InstructPix2Pix' nesting (arXiv 2211.09800), with three conditions:

        o = o(∅) + s_p [o(p) - o(∅)] + s_a [o(p,a) - o(p)] + s_e [o(p,a,e) - o(p,a)]
    """

    picture: float = 1.0
    audio: float = 1.0
    expression: float = 1.0

    def __post_init__(self) -> None:
        """Refuse negative scales."""
        if min(self.picture, self.audio, self.expression) < 0:
            raise ConfigError(f"{self}: scales must be 0 or more")

    def cases(self) -> list[Case]:
        """The evaluations needed: those whose outputs count nothing are left out.

        The weights add up to 1, so that it makes no difference whether the network gives clean
        frames, v or noise.
        """
        nested = [
            Case(False, False, False, 1 - self.picture),
            Case(True, False, False, self.picture - self.audio),
            Case(True, True, False, self.audio - self.expression),
            Case(True, True, True, self.expression),
        ]
        return [case for case in nested if case.weight != 0]

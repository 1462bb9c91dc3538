"""Parameters that name something: the form refuses what cannot be, and says what may be meant.

Patterns and choices are part of the schema, so a Prefect server refuses them before a run exists;
the validators say the same with a suggestion.
"""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.datasets import CORPORA
from pipeline.errors import ProfileError
from pipeline.hyperplane_config import HyperplaneConfig
from pipeline.profile_tables import ENCODERS, PROFILES
from pipeline.profiles import encoder_names
from pipeline.settings import configured


def meant(given: str, choices: Iterable[str]) -> str:
    """The choice that a misspelt word is nearest to, as a question; "" where none is near.

    >>> meant("meed", ["mead", "grid"])
    "did you mean 'mead'? "
    """
    near = difflib.get_close_matches(given, list(choices), 1)
    return f"did you mean {near[0]!r}? " if near else ""


def _corpus(name: str) -> str:
    choices = ("auto", *CORPORA)
    if name not in choices:
        raise ValueError(f"no corpus {name!r}; {meant(name, choices)}use {', '.join(choices)}")
    return name


def _profile(name: str) -> str:
    try:
        encoder_names(name)
    except ProfileError as error:
        last = max(name.rfind("+"), name.rfind("-")) + 1
        near = meant(name[last:], ENCODERS if last else PROFILES)
        raise ValueError(f"{near}{error}") from error
    return name


def _planes(settings: dict[str, Any]) -> dict[str, Any]:
    configured(HyperplaneConfig, settings, "hyperplanes")  # a ProfileError is a ValueError, too
    return settings


_SPEC = r"^([a-z]+://.+|(local|slurm|kubernetes):[1-9][0-9]{0,4})$"

Corpus = Annotated[
    str, Field(json_schema_extra={"enum": ["auto", *CORPORA]}), AfterValidator(_corpus)
]
ProfileName = Annotated[
    str, Field(pattern=r"^[a-z0-9_]+([+-][a-z0-9_]+)*$"), AfterValidator(_profile)
]
DatasetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Location = Annotated[str, Field(min_length=1)]
Cluster = Annotated[str, Field(pattern=_SPEC)]
FeatureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*$")]
PlaneSettings = Annotated[dict[str, Any], AfterValidator(_planes)]
"""Fields of `HyperplaneConfig` that differ from its defaults."""

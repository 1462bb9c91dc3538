"""Common ground of all flow parameters."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class FlowConfig(BaseModel):
    """No unknown field passes, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Refuse unknown fields with what may be meant."""
        from flows.parameters import meant

        unknown = [n for n in given if n not in cls.model_fields] if isinstance(given, dict) else []
        if unknown:
            told = [f"no parameter {name!r}; {meant(name, cls.model_fields)}" for name in unknown]
            raise ValueError(f"{' '.join(told)}there are {', '.join(cls.model_fields)}")
        return given

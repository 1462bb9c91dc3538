"""Common ground of all flow parameters."""

from pydantic import BaseModel, ConfigDict


class FlowConfig(BaseModel):
    """No unknown field passes, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

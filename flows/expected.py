"""Errors whose message is the whole answer: no traceback helps a user there."""


def expected_errors() -> tuple[type[Exception], ...]:
    """The roots of every layer's errors."""
    from flows.errors import FlowError
    from models.errors import ModelError
    from pipeline.errors import PipelineError
    from render.errors import RenderError
    from store.errors import StoreError

    return (FlowError, ModelError, PipelineError, RenderError, StoreError)

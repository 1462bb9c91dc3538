"""What the extra `studio` brings, asked for before it is imported."""

from importlib.util import find_spec

from flows.errors import FlowError


def need_extra(module: str) -> None:
    """Hold that a package of the extra is installed.

    Raises:
        FlowError: it is not; says the command that brings it.
    """
    if find_spec(module) is None:
        raise FlowError(
            f"{module} is not installed: pip install --no-deps -r requirements-studio.lock, "
            "or pip install 'emohead[studio]'"
        )

"""A network and a head that carries its person: whether they speak of the same coefficients."""

from dataclasses import replace
from pathlib import Path

from flows.errors import FlowError
from models.checkpoint import Checkpoint
from pipeline.hyperplane_record import from_record
from render.carried import Carried


def acquainted(
    checkpoint: Checkpoint, carried: Carried, head: Path
) -> tuple[Checkpoint, tuple[str, ...]]:
    """The network, and what to say of it; one that never met the person learns hyperplanes and
    whitening from the head.

    Args:
        checkpoint: the network.
        carried: what the head brings along.
        head: its folder, for messages.

    Raises:
        FlowError: the network speaks in other coefficients than the head reads.
    """
    who, network = carried.facts["identity"], checkpoint.path.parent
    features = checkpoint.state.get("provenance", {}).get("features", {})
    read, width = carried.facts["features"]["expression"], len(carried.planes["mean"])
    spoken, k = features.get("expression", read), checkpoint.model.config.k
    if (spoken, k) != (read, width):
        raise FlowError(
            f"{head} reads {width} coefficients of {read}, the network in {network} speaks in {k} "
            f"of {spoken}; take the network that the head was given with, or train one on the "
            "same feature"
        )
    if who in checkpoint.planes:
        return checkpoint, ()
    planes = {**checkpoint.planes, who: from_record(carried.planes, carried.facts["planes"])}
    state = dict(checkpoint.state)
    if mouth := carried.facts.get("mouth"):
        state["mouth"] = {**state.get("mouth", {}), who: mouth}
    note = (
        f"the network in {network} never met {who}: it takes hyperplanes and whitening from {head}"
    )
    return replace(checkpoint, planes=planes, state=state), (note,)

"""Flow `ablate`: rows of the paper's ablation tables, trained on the cells of a store."""

from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import Field

from flows.config import HyperplaneFlowConfig
from flows.config_base import FlowConfig
from flows.features import FeatureNames
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call, note_text
from flows.presets import Preset, configured, network_settings
from flows.progress import step
from flows.store_features import named
from flows.train_audio_expression import training_data
from models import TrainConfig
from store import Cache


class AblationFlowConfig(FlowConfig):
    """Which rows, with which seeds, how long."""

    store: str = Field(description="Folder or URL of the icechunk store")
    dataset: str = Field(default="clips", description="Group of the store")
    out: Path = Field(description="Folder of the tables and of the finished cells")
    rows: tuple[str, ...] = Field(
        default=("alignment", "refinement", "d", "n", "rho", "reg"),
        description="Groups of rows of tables IV and VI",
    )
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), description="One training a row and seed")
    preset: Preset = Field(default="paper", description="Sizes the rows are changes of")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="TrainConfig fields that differ from the preset"
    )
    names: FeatureNames = Field(
        default_factory=FeatureNames, description="Cells that are read; unset: the profile's"
    )
    profile: str | None = Field(
        default=None,
        description="Profile whose features are read; none: the one that made the store",
    )


@flow(name="ablate", flow_run_name="ablate {config.dataset}", persist_result=False)
def ablate(config: AblationFlowConfig) -> dict[str, str]:
    """Train what the folder does not hold yet and write the tables; returns their paths.

    Raises:
        NothingToDo: no clip has both sound and a face.
        ModelConfigError: unknown rows, or settings that cannot be.
    """
    from models.ablation import AblationConfig, run_ablation
    from models.ablation_tables import write_tables

    train = configured(TrainConfig, network_settings(config.preset), config.settings, "network")
    chosen = AblationConfig(config.rows, config.seeds, train)
    cache = Cache.open(config.store)
    config = named(config, cache, cache.snapshot())
    fit = HyperplaneFlowConfig(
        store=config.store, dataset=config.dataset, expression=config.names.expression
    )
    call(fit_hyperplanes, fit)
    snapshot = cache.snapshot()
    data = training_data(snapshot, config.dataset, config.names, config.out / "packs")
    with step("train ablations", unit="cells") as bar:

        def told(done: int, total: int, what: str) -> None:
            bar.total = total
            bar.update(done, note=what)

        result = run_ablation(data, chosen, config.out, told)
    paths = write_tables(result, config.out)
    note_text("ablation", paths["md"].read_text(encoding="utf-8"))
    return {kind: str(path) for kind, path in paths.items()}

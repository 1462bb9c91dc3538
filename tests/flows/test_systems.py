"""The same store, three systems: what `--system` trains, and where it lies."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from model_kit import SMALL, made_clips, stored

from flows.config import AudioExpressionFlowConfig, HyperplaneFlowConfig
from flows.features import FeatureNames
from flows.fit_hyperplanes import fit_hyperplanes
from flows.names import SYSTEMS, System
from flows.orchestra import run
from flows.systems import NETWORK, network_folder, portrait_folder
from flows.train_audio_expression import train_audio_expression
from models import load, speak
from models.labels import LABELS

NAMES = FeatureNames(
    audio="audio/a", emotion="emotion/e", text="text/t", expression="expression/x", mouth="face/mar"
)


def test_every_system_has_a_network_and_a_folder_of_its_own() -> None:
    assert SYSTEMS == ("emohead", "moee", "emodiffhead")
    assert set(NETWORK) == set(SYSTEMS)
    folders = [network_folder(Path("out"), system).name for system in SYSTEMS]
    assert folders == ["network", "network-moee", "network-emodiffhead"]
    drawn = [portrait_folder(Path("out"), system).name for system in SYSTEMS]
    assert drawn == ["portrait", "portrait-moee", "portrait"]


def test_every_deployment_gives_its_flow_what_its_form_takes() -> None:
    root = Path(__file__).resolve().parents[2]
    systems = []
    for made in yaml.safe_load((root / "prefect.yaml").read_text("utf-8"))["deployments"]:
        path, name = made["entrypoint"].split(":")
        flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
        form = flow.fn.__annotations__["config"]
        given = made.get("parameters", {}).get("config", {})
        unknown = set(given) - set(form.model_fields)
        assert not unknown, (made["name"], unknown)
        required = {n for n, field in form.model_fields.items() if field.is_required()}
        if required <= set(given):  # others ask whoever starts them
            systems.append((flow.name, getattr(form.model_validate(given), "system", None)))
    networks = {("train-audio-expression", system) for system in SYSTEMS}
    portraits = {("train-portrait", system) for system in ("emodiffhead", "moee")}
    assert networks | portraits <= set(systems)


@pytest.mark.parametrize("system", ["moee", "emodiffhead"])
def test_a_system_is_trained_from_the_store_and_speaks_by_label(
    system: System, tmp_path: Path
) -> None:
    clips = made_clips()
    stored(clips, tmp_path / "store")
    store = str(tmp_path / "store")
    run(fit_hyperplanes, HyperplaneFlowConfig(store=store, expression=NAMES.expression))
    config = AudioExpressionFlowConfig(
        store=store, names=NAMES, system=system, out=network_folder(tmp_path, system),
        settings=SMALL | {"ffn_widths": [32, 16], "steps": 30},
    )  # fmt: skip
    summary = run(train_audio_expression, config)
    assert not summary["reused"]
    assert run(train_audio_expression, config)["reused"]
    done = load(config.out)
    expected = {"moee": "moee", "emodiffhead": "recurrent"}[system]
    assert done.model.config.architecture == expected
    assert done.model.config.labels == LABELS
    assert done.train.noisy == 0.5
    said = speak(done, clips[0].features, "happy:0.5", "ann")
    assert said.steered.tags == ("happy",)
    assert np.isfinite(said.steered.margin).all()
    # the other system's settings in the same folder are another training, not a resumption
    other = config.model_copy(update={"system": "emohead"})
    assert not run(train_audio_expression, other)["reused"]
    assert load(config.out).model.config.architecture == "emohead"
    (kept,) = tmp_path.glob(f"{config.out.name}.*")
    assert load(kept).model.config.architecture == expected

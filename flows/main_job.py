"""Flow `main-job`: videos to a talking head whose emotion changes while it speaks, and a report
beside the video."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow

from flows.choices import choose_identity, choose_speech, choose_timeline
from flows.config import (
    AudioExpressionFlowConfig,
    HeadFlowConfig,
    HyperplaneFlowConfig,
    MainJobConfig,
    PreprocessConfig,
    SynthesizeConfig,
)
from flows.errors import FlowError
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call, run, server
from flows.preprocess import preprocess
from flows.presets import configured, head_settings, network_settings
from flows.progress import finished_steps, forget_steps, step
from flows.report.build import build_report
from flows.sample_clips import render_samples
from flows.server import EarlyServer
from flows.store_features import names_in
from flows.synthesize import synthesize
from flows.train_audio_expression import train_audio_expression
from flows.train_head import train_head
from models.config import TrainConfig
from pipeline.profiles import load_profile
from render.head_config import HeadConfig
from store import Cache

DATASET = "clips"


@flow(name="main-job", flow_run_name="main-job {config.out}", persist_result=False)
def main_job(config: MainJobConfig, videos: Path | None = None) -> dict[str, Any]:
    """The whole way. Each stage is a flow of its own, and leaves alone what is there already.

    Returns:
        Paths of video and report, and the summary of every stage.
    """
    source = config.data or videos or render_samples(config)
    cells = call(
        preprocess,
        PreprocessConfig(
            data=source,
            store=config.store,
            dataset=DATASET,
            corpus=config.corpus,
            profile=config.profile,
            overrides=config.overrides,
            size=config.size,
            workers=config.workers,
            prune=True,  # the job is about this folder: what left it leaves the job
        ),
    )
    say(cells["text"])
    snapshot = Cache.open(config.store).snapshot()
    names = names_in(snapshot, DATASET, config.profile)
    planes = call(
        fit_hyperplanes,
        HyperplaneFlowConfig(store=config.store, dataset=DATASET, expression=names.expression),
    )
    network_folder = config.out / "network"
    network = call(
        train_audio_expression,
        AudioExpressionFlowConfig(
            store=config.store,
            dataset=DATASET,
            names=names,
            out=network_folder,
            preset=config.preset,
            settings=config.network_settings,
        ),
    )
    snapshot = Cache.open(config.store).snapshot()
    identity = choose_identity(snapshot, DATASET, names, config.identity)
    head_folder = config.out / "heads" / identity
    head = call(
        train_head,
        HeadFlowConfig(
            store=config.store,
            dataset=DATASET,
            names=names,
            identity=identity,
            out=head_folder,
            preset=config.preset,
            settings=config.head_settings,
        ),
    )
    speech = choose_speech(snapshot, DATASET, names, identity, config)
    timeline = choose_timeline(network_folder, identity, speech.seconds, config.emotion)
    video = call(
        synthesize,
        SynthesizeConfig(
            store=config.store,
            dataset=DATASET,
            names=names,
            identity=identity,
            head=head_folder,
            network=network_folder,
            audio=speech.path,
            emotion=timeline,
            words=speech.words,
            out=config.out / "video.mp4",
            render_size=config.render_size,
            profile=config.profile,
            overrides=config.overrides,
        ),
    )
    summary: dict[str, Any] = {
        "identity": identity,
        "speech": speech.what,
        "emotion": timeline,
        "snapshot": snapshot.id,
        "preprocess": cells,
        "hyperplanes": planes,
        "network": network,
        "head": head,
        "video": str(config.out / "video.mp4"),
        "synthesis": video,
    }
    with step("write report"):
        report = build_report(config, names, summary, times())
    return {**summary, "report": str(report)}


def times() -> list[tuple[str, float]]:
    """(step, seconds) so far, set-up first where `make` measured it."""
    steps = finished_steps()
    setup = os.environ.get("EMOHEAD_SETUP_SECONDS")
    return [("set up (once)", float(setup)), *steps] if setup else steps


def run_main_job(config: MainJobConfig, *, own_server: bool = False) -> dict[str, Any]:
    """`main_job` from the command line.

    The user's Prefect server records it. With ``own_server`` a temporary one does where there is
    none: it starts while the sample clips are rendered. Otherwise the same functions run here.
    """
    forget_steps()
    began = time.monotonic()
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlowError(f"{config.out} cannot be the job's folder: {error.strerror}") from error
    check_settings(config)
    load_profile(config.profile, config.size, **config.overrides)  # missing weights are said now
    early = EarlyServer() if own_server and not server() else None
    samples = render_samples(config) if config.data is None else None
    if early is not None:
        with step("start Prefect server"):
            early.ready()
    result = main_job(config, samples) if early else run(main_job, config, samples)
    print_times(time.monotonic() - began)
    return result


def say(text: str) -> None:
    """What preprocessing found and did, where the progress lines are."""
    sys.stderr.write(text.replace("\n", "\n  ").rstrip().join(("  ", "\n")))


def check_settings(config: MainJobConfig) -> None:
    """Find a mistyped setting before minutes of work, not after.

    Raises:
        FlowError: a setting that does not exist; the choices are named.
    """
    configured(TrainConfig, network_settings(config.preset), config.network_settings, "network")
    configured(HeadConfig, head_settings(config.preset), config.head_settings, "head")


def print_times(seconds: float) -> None:
    """The time table, for whoever watched."""
    width = max(len(name) for name, _ in times())
    lines = [f"  {name:<{width}} {spent:8.1f} s" for name, spent in times()]
    lines.append(f"  {'all, set-up not counted':<{width}} {seconds:8.1f} s")
    sys.stderr.write("\n".join(lines) + "\n")

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from prefect.testing.utilities import prefect_test_harness

from flows.config import HyperplaneFlowConfig, PreprocessConfig
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call
from flows.preprocess import preprocess
from pipeline.samples import make_samples

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(Path(__file__).parent))  # for talking_kit, here and in children


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect API on its own database; nested or repeated harnesses hang."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def prefect(prefect_server: None) -> Callable[..., str]:
    """The `prefect` command against that server, from the checkout; returns what it prints."""
    from prefect.settings import PREFECT_API_URL

    def run(*arguments: str) -> str:
        environment = os.environ | {
            "PREFECT_API_URL": str(PREFECT_API_URL.value()),
            "EMOHEAD_HOME": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def sample_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two identities, two emotions, two sentences; faces large enough to be accepted."""
    folder = tmp_path_factory.mktemp("clips")
    make_samples(folder, emotions=("happy", "sad"), sentences=("s1", "s5"))
    return folder


@pytest.fixture
def clips(sample_clips: Path, tmp_path: Path) -> Path:
    """One identity's clips, to be changed at will."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in sample_clips.glob("iris_*"):
        shutil.copy2(path, folder)
    return folder


@pytest.fixture(scope="session")
def looked_at(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to look into: one identity with hyperplanes, and a clip that was refused."""
    folder = tmp_path_factory.mktemp("looked-at")
    data = folder / "clips"
    data.mkdir()
    for path in sample_clips.glob("iris_*"):
        shutil.copy2(path, data)
    with av.open(str(data / "grey.mp4"), "w") as empty:
        stream = empty.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((128, 128, 3), 90, np.uint8), format="rgb24")
            frame.pts = number
            empty.mux(stream.encode(frame))
        empty.mux(stream.encode(None))
    store = str(folder / "store")
    call(cast(Any, preprocess), PreprocessConfig(data=data, store=store, size=128, workers=1))
    call(cast(Any, fit_hyperplanes), HyperplaneFlowConfig(store=store))
    return folder / "store"

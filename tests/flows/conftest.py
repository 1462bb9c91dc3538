import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import av
import numpy as np
import pytest
from prefect.testing.utilities import prefect_test_harness

from flows.config import HyperplaneFlowConfig, PreprocessConfig
from flows.crew import Processes, crew_of
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call
from flows.preprocess import preprocess
from pipeline.samples import make_samples

ROOT = Path(__file__).resolve().parents[2]
Once = Callable[[str, Callable[[Path], None]], Path]

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
def sample_clips(once: Once) -> Path:
    """Two identities, two emotions, two sentences; faces large enough to be accepted."""

    def make(folder: Path) -> None:
        make_samples(folder, emotions=("happy", "sad"), sentences=("s1", "s5"))

    return once("sample-clips", make)


@pytest.fixture(scope="session")
def started_crew() -> Iterator[Processes]:
    """Two worker processes that stay for all tests: a start, with its imports, takes seconds."""
    with crew_of(2, None) as crew:
        assert isinstance(crew, Processes)
        yield crew


@pytest.fixture(scope="session")
def warm_session(started_crew: Processes) -> Callable[[], AbstractContextManager[None]]:
    """In `with warm_session():` runs of `preprocess` find their workers started."""

    @contextmanager
    def warm() -> Iterator[None]:
        @contextmanager
        def crew(workers: int, cluster: str | None, *more: Any) -> Iterator[Any]:
            if cluster is None:
                yield started_crew
                return
            with crew_of(workers, cluster, *more) as other:
                yield other

        with patch("flows.preprocess.crew_of", crew):
            yield

    return warm


@pytest.fixture
def warm(warm_session: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """The workers of this test's runs are started already. Not for tests of how workers start and
    end (test_crew.py), nor where their environment matters."""
    with warm_session():
        yield


@pytest.fixture(scope="session")
def talking_world(once: Once) -> Path:
    """OUT with a store, a network and a drawn head, to speak in; see talking_kit."""
    from talking_kit import make_world

    def make(folder: Path) -> None:
        make_world(folder)

    return once("talking-world", make)


@pytest.fixture
def clips(sample_clips: Path, tmp_path: Path) -> Path:
    """One identity's clips, to be changed at will."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in sample_clips.glob("iris_*"):
        shutil.copy2(path, folder)
    return folder


@pytest.fixture(scope="session")
def looked_at(
    sample_clips: Path, once: Once, warm_session: Callable[[], AbstractContextManager[None]]
) -> Path:
    """A store to look into: one identity with hyperplanes, and a clip that was refused."""

    def make(folder: Path) -> None:
        data, store = folder / "clips", str(folder / "store")
        data.mkdir()
        for path in sample_clips.glob("iris_*"):
            shutil.copy2(path, data)
        grey(data / "grey.mp4")
        with warm_session():
            call(cast(Any, preprocess), PreprocessConfig(data=data, store=store, size=128))
        call(cast(Any, fit_hyperplanes), HyperplaneFlowConfig(store=store))

    return once("looked-at", make) / "store"


def grey(path: Path) -> None:
    """A video without a face."""
    with av.open(str(path), "w") as empty:
        stream = empty.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((128, 128, 3), 90, np.uint8), format="rgb24")
            frame.pts = number
            empty.mux(stream.encode(frame))
        empty.mux(stream.encode(None))

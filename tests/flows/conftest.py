import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from pipeline.samples import make_samples


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect API on its own database; nested or repeated harnesses hang."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


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

"""What every test may stand on: the real shared clips, one thread per library, a quiet Prefect."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest
from filelock import FileLock

# One compute thread a process: two collapse when a second worker runs beside (docs/decisions).
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Videos are signed by default; the certificate of a test run is nobody's.
os.environ.setdefault("EMOHEAD_C2PA_FOLDER", str(Path(gettempdir()) / "emohead-test-credentials"))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

ROOT = Path(__file__).resolve().parent.parent

LONGEST = (
    "flows/test_preprocess.py",
    "flows/test_main_job.py",
    "flows/test_deployments.py",
    "flows/test_crew.py",
    "flows/test_update.py",
    "flows/test_studio.py",
    "flows/test_remote.py",
    "flows/test_synthesize.py",
    "flows/test_evaluation.py",
    "models/test_resume.py",
    "render/test_training.py",
    "render/test_engines.py",
    "store/test_faults_flips.py",
)
"""Files of minutes. Each goes to one process of a run (`--dist loadfile`), so they begin first:
whoever gets one last makes all others wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others in their order."""
    here = Path(__file__).parent
    place = {here / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def _shared_data() -> Path:
    return Path(os.environ.get("EMOHEAD_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips and weights that are not ours to commit."""
    folder = _shared_data()
    if not (folder / "README.md").is_file():
        pytest.skip(f"real clips are not at {folder}; set EMOHEAD_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """once(name, build): a folder that the first process of a test run to need it builds for all.

    To be read; who wants to change something takes a copy.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def built(name: str, build: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return built

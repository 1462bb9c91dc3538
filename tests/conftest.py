"""What every test may stand on: the real shared clips, one thread per library, a quiet Prefect."""

import os
from pathlib import Path
from tempfile import gettempdir

import pytest

# One compute thread a process: two collapse when a second worker runs beside (docs/decisions).
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Videos are signed by default; the certificate of a test run is nobody's.
os.environ.setdefault("EMOHEAD_C2PA_FOLDER", str(Path(gettempdir()) / "emohead-test-credentials"))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

ROOT = Path(__file__).resolve().parent.parent


def _shared_data() -> Path:
    return Path(os.environ.get("EMOHEAD_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips and weights that are not ours to commit."""
    folder = _shared_data()
    if not (folder / "README.md").is_file():
        pytest.skip(f"real clips are not at {folder}; set EMOHEAD_TEST_DATA to their folder")
    return folder

"""An empty store for every test; puts `store_kit` within reach, here and in spawned children."""

import sys
from pathlib import Path

import pytest

import store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def cache(tmp_path: Path) -> store.Cache:
    return store.Cache.open(tmp_path / "cache", create=True)

"""Three small clips, made once for all tests of the samples."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.samples import make_samples


@dataclass(frozen=True)
class Made:
    folder: Path
    paths: list[Path]

    def sidecar(self, stem: str) -> dict:
        return json.loads((self.folder / f"{stem}.json").read_text())


STEMS = ("iris_happy_s5", "iris_neutral_s2", "milo_angry_s5")
SIZE = 160


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("samples")
    paths = []
    for stem in STEMS:
        identity, emotion, sentence = stem.split("_")
        paths += make_samples(
            folder, size=SIZE, identities=[identity], emotions=[emotion], sentences=[sentence]
        )
    return Made(folder, paths)

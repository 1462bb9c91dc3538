"""The folder's face: every name is there, and importing it is light."""

import pkgutil
import subprocess
import sys

import pytest

import render


def test_every_name_of_the_face_can_be_had() -> None:
    assert set(render.__all__) == set(render._PLACES)
    for name in render.__all__:
        assert getattr(render, name).__name__ == name
    # A submodule of the same name would take a name's place as soon as anyone imported it.
    assert not set(render.__all__) & {m.name for m in pkgutil.iter_modules(render.__path__)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = render.nothing


def test_importing_the_face_loads_no_heavy_library() -> None:
    code = "import render, sys; print([m for m in ('torch', 'numba', 'cv2') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

"""The GPU benchmark runs through on the CPU, so that it cannot rot; with a GPU it says more."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu


def test_the_benchmark_runs_dry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = gpu.main(["--dry", "--seconds", "2", "--out", str(tmp_path / "table.json")])
    assert rows[0]["device"] == "dry run on the CPU"
    parity = {row["parity"]: row["worst"] for row in rows if "parity" in row}
    assert float(parity["cpu float32 against numba"]) < 1e-2
    assert float(parity["cpu bfloat16 against numba"]) < 0.1
    assert parity["tiny-cuda-nn against portable"].startswith("not measured")
    assert sum("training" in row for row in rows) == 4
    assert sum("rendering" in row for row in rows) == 3
    assert any("psnr" in row for row in rows)
    assert (tmp_path / "table.json").is_file()
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit):
            gpu.main([])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_benchmark_measures_on_a_gpu(tmp_path: Path) -> None:
    rows = gpu.main(["--seconds", "20", "--out", str(tmp_path / "table.json")])
    parity = {row["parity"]: row["worst"] for row in rows if "parity" in row}
    assert float(parity["cuda float32 against numba"]) < 1e-2
    assert not [row for row in rows if "not measured" in row]


def test_the_gpu_marker_skips_without_a_gpu() -> None:
    marks = getattr(test_the_benchmark_measures_on_a_gpu, "pytestmark")  # noqa: B009
    assert [m.args[0] for m in marks if m.name == "skipif"] == [not torch.cuda.is_available()]

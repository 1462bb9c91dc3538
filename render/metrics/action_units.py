"""AUE: how far facial action units are from the reference's, by the OpenFace 2.2 program.

T. Baltrušaitis et al., "OpenFace 2.0", 2018. The sum of mean squared differences is that of
Fictionarry/TalkingGaussian (auerror.py); EmoHead names the metric and gives no formula. OpenFace 3
renames columns: 2.2 is meant.
"""

import csv
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from render.errors import MetricError

VARIABLE = "EMOHEAD_OPENFACE"
LOWER = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")
UPPER = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU45")
UNITS = (*UPPER, *LOWER)
_SECONDS = 3600


def openface(given: Path | None = None) -> Path:
    """Path of the program: as given, else `$EMOHEAD_OPENFACE`, else `FeatureExtraction` on PATH.

    Raises:
        MetricError: there is none.
    """
    told = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found = told or (Path(p) if (p := shutil.which("FeatureExtraction")) else None)
    if found is None:
        raise MetricError(
            "OpenFace is not given: build OpenFace 2.2 (github.com/TadasBaltrusaitis/OpenFace), "
            f"then --openface PATH/FeatureExtraction or {VARIABLE}=PATH"
        )
    if not (found.is_file() and os.access(found, os.X_OK)):
        raise MetricError(f"OpenFace: {found} is no program; give the path of FeatureExtraction")
    return found


def action_units(program: Path, video: Path) -> Float[np.ndarray, "frames 17"]:
    """Intensities (0-5) of the 17 units a frame, in the order of `UNITS`; NaN where not tracked.

    Raises:
        MetricError: the program fails, or writes something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        call = [str(program), "-f", str(video.resolve()), "-aus", "-out_dir", folder]
        try:
            done = subprocess.run(call, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MetricError(f"OpenFace: {program} did not run: {error}") from error
        table = Path(folder) / f"{video.stem}.csv"
        if done.returncode or not table.is_file():
            said = (done.stderr or done.stdout).decode(errors="replace").strip()[-300:]
            raise MetricError(
                f"OpenFace: exit code {done.returncode} for {video.name}"
                f"{'' if table.is_file() else ', no table written'}: {said or 'it said nothing'}"
            )
        return read_table(table)


def read_table(path: Path) -> Float[np.ndarray, "frames 17"]:
    """The intensities in a table FeatureExtraction wrote. Its column names begin with a blank.

    Raises:
        MetricError: columns are missing: another version's table.
    """
    with path.open(newline="") as file:
        rows = [{str(k).strip(): v for k, v in row.items()} for row in csv.DictReader(file)]
    names = [f"{unit}_r" for unit in UNITS]
    lacking = [name for name in names if not rows or name not in rows[0]]
    if lacking:
        raise MetricError(
            f"{path.name} lacks {', '.join(lacking[:4])}: a table of OpenFace 2.2 is needed"
        )
    values = np.array([[float(row[name]) for name in names] for row in rows])
    tracked = np.array([float(row.get("success", 1)) for row in rows]) > 0
    values[~tracked] = np.nan
    return values


def action_unit_error(
    generated: Float[np.ndarray, "n 17"], reference: Float[np.ndarray, "m 17"]
) -> dict[str, float]:
    """`aue`, `aue_lower`, `aue_upper`: Σ over units of the mean over frames of (a − b)².

    Raises:
        MetricError: tables of different lengths, or no frame tracked in both.
    """
    if len(generated) != len(reference):
        raise MetricError(f"AUE: {len(generated)} frames against {len(reference)}")
    both = np.asarray(np.isfinite(generated).all(1) & np.isfinite(reference).all(1))
    if not both.any():
        raise MetricError(f"AUE: OpenFace tracked no face in both of {len(both)} frames")
    error = ((generated[both] - reference[both]) ** 2).mean(0)
    upper = float(error[: len(UPPER)].sum())
    lower = float(error[len(UPPER) :].sum())
    return {"aue": upper + lower, "aue_lower": lower, "aue_upper": upper}

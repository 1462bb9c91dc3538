"""Names that would hide somebody else's: Prefect puts the folder of a flow's file on the path."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import flows

FOLDER = Path(flows.__file__).parent


def test_no_module_of_flows_hides_one_of_python_or_of_a_library() -> None:
    """`flows/inspect/` did: every worker process of a deployment ended where it imported it."""
    ours = {path.stem for path in FOLDER.iterdir() if not path.name.startswith("_")}
    theirs = set(sys.stdlib_module_names) | set(packages_distributions())
    assert not ours & theirs

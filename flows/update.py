"""Flow `update`: what a nightly schedule runs. Scan → plan → preprocess → hyperplanes → release."""

import datetime
from typing import Any

from prefect import flow

from flows.config import HyperplaneFlowConfig, UpdateConfig
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call, note_event
from flows.preprocess import preprocess, with_page
from flows.store_features import expression_of
from flows.turns import turn
from store import Cache


@flow(name="update", flow_run_name="update {config.dataset}", persist_result=False)
def update(config: UpdateConfig) -> dict[str, Any]:
    """Bring a dataset and its hyperplanes up to date, and name the result.

    Nothing changed: nothing is computed, no snapshot and no release are made.

    Returns:
        The summaries of both stages, the snapshot, and the release (None if none was made).

    Raises:
        InputError, NothingToDo, StoreBusy: as `preprocess` and `fit-hyperplanes`.
    """
    with turn(config.store, config.wait_seconds):
        summary = _update(config)
    return with_page(summary, config)


def _update(config: UpdateConfig) -> dict[str, Any]:
    cells = call(preprocess, config.preprocess())
    planes = None
    if config.hyperplanes:
        planes = call(
            fit_hyperplanes,
            HyperplaneFlowConfig(
                store=config.store,
                dataset=config.dataset,
                expression=expression_of(
                    Cache.open(config.store), config.dataset, config.expression, config.profile
                ),
                settings=config.planes,
            ),
        )
    cache = Cache.open(config.store)
    snapshot = cache.snapshot().id
    release = None
    if config.release and snapshot not in cache.tags().values():
        release = free_name(config.release, cache.tags())
        cache.tag(release, snapshot)
        note_event("emohead.release", f"emohead.store.{config.store}", {"release": release})
    return {
        "preprocess": cells,
        "hyperplanes": planes,
        "snapshot": snapshot,
        "release": release,
        "text": f"{cells['text']}\nsnapshot {snapshot}"
        + (f", release {release}" if release else ", no new release"),
    }


def free_name(pattern: str, taken: dict[str, str]) -> str:
    """The release name; {date} is today's (UTC), and a number is added to a name that is taken.

    >>> free_name("mead", {"mead": "A", "mead-2": "B"})
    'mead-3'
    """
    name = pattern.replace("{date}", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free

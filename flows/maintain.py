"""Flow `maintain`: hold a store against itself, forget old snapshots, delete what nothing needs."""

import datetime
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import MaintainConfig
from flows.errors import StoreDamaged
from flows.orchestra import call, note_text
from flows.progress import step
from flows.store_care import freed_text
from store import Cache


@task(name="collect", cache_policy=NO_CACHE, retries=1, retry_delay_seconds=10)
def collect(location: str, keep_days: float) -> dict[str, int]:
    """Expire and delete; safe beside readers of kept snapshots."""
    older_than = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=keep_days)
    return Cache.open(location).gc(older_than)


@flow(name="maintain", flow_run_name="maintain {config.store}", persist_result=False)
def maintain(config: MaintainConfig) -> dict[str, Any]:
    """Validate first: a damaged store is not cleaned, its old snapshots may be the cure.

    Raises:
        StoreDamaged: with what is damaged and how it is repaired.
    """
    with step("validate"):
        report = Cache.open(config.store).validate(read_data=config.read_data)
    note_text("validation", f"```\n{report.summary()}\n```", "The store held against itself")
    if not report.ok:
        raise StoreDamaged(
            f"{config.store} was not cleaned, because it is damaged:\n{report.summary()}\n"
            "compute the named cells again (`emohead preprocess --force FEATURE`), then clean"
        )
    with step("collect"):
        freed = call(collect, config.store, config.keep_days)
    text = f"{report.summary()}\n{freed_text(freed)}"
    return {"validation": report.summary(), "freed": freed, "text": text}

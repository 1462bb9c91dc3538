"""The report of a main job.

Read from the store and the folders it wrote, nothing is computed twice.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from flows.config import MainJobConfig
from flows.features import FeatureNames
from flows.progress import clock_text
from flows.report.cache_part import cache_sections
from flows.report.head_part import head_section
from flows.report.page import Page, Section, Table, write_page
from flows.report.speech_part import network_section, video_section
from store import Cache

DATASET = "clips"


def build_report(
    config: MainJobConfig,
    names: FeatureNames,
    summary: dict[str, Any],
    times: list[tuple[str, float]],
) -> Path:
    """Write `report.html` and `run.json` into the job's folder; returns the page."""
    snapshot = Cache.open(config.store).snapshot(summary["snapshot"])
    identity = summary["identity"]
    head = head_section(snapshot, DATASET, config.out / "heads" / identity, summary["head"], names)
    seconds = sum(spent for _, spent in times)
    accuracies = [
        p["held-out accuracy"]
        for p in summary["hyperplanes"]["planes"]
        if p["scope"] == identity and p["held-out accuracy"] is not None
    ]
    cells = summary["preprocess"]
    facts = [
        (f"{cells['computed']}", f"cells computed of {cells['planned']} planned"),
        *(
            [
                (
                    f"{float(np.mean(accuracies)):.3f}",
                    "balanced accuracy of the hyperplanes, held-out clips",
                )
            ]
            if accuracies
            else []
        ),
        *head.facts,
        (clock_text(seconds), "minutes in all"),
    ]
    page = Page(
        title=f"{identity} speaks",
        lead=(
            f"{summary['synthesis']['frames'] / 25:.1f} s of {summary['speech']}, emotion "
            f"{summary['emotion'] or 'as predicted'}. Snapshot {snapshot.id}."
        ),
        facts=facts,
        video=Path("video.mp4"),
        sections=[
            video_section(config.out, summary, names),
            head.section,
            network_section(summary["network"]),
            *cache_sections(snapshot, DATASET, identity, names, summary),
            Section(
                "How long each step took",
                tables=[Table(("step", "seconds"), tuple((n, float(s)) for n, s in times))],
            ),
        ],
    )
    record = {
        **summary,
        "times": times,
        "config": config.model_dump(mode="json"),
        "head_metrics": head.metrics,
    }
    (config.out / "run.json").write_text(json.dumps(record, indent=1, default=str))
    return write_page(page, config.out / "report.html")

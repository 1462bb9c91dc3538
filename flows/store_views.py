"""A store in words, for the command line."""

import json

from store import Cache


def info_text(location: str, ref: str = "main") -> str:
    """Datasets, clips, and how many cells of each feature are valid, rejected or absent."""
    cache = Cache.open(location)
    snapshot = cache.snapshot(ref)
    lines = [f"{cache.location}", f"snapshot {snapshot.id}"]
    lines += [f"release {name}: {snapshot_id}" for name, snapshot_id in cache.tags().items()]
    for dataset in snapshot.datasets():
        clips, cells = snapshot.clips(dataset), snapshot.cells(dataset)
        seconds = int(clips.frames.sum()) / 25
        lines.append(
            f"\n{dataset}: {len(clips)} clips, {seconds:.0f} s, "
            f"{clips.identity.nunique()} identities"
        )
        emotions = clips.emotion[clips.emotion != ""].value_counts()
        if len(emotions):
            lines.append("  " + ", ".join(f"{name} {count}" for name, count in emotions.items()))
        refused = [json.loads(text) for text in clips.rejected]
        for feature, schema in snapshot.features(dataset).items():
            valid = sum(cell != "" for cell in cells[feature])
            rejected = sum(feature in reasons for reasons in refused)
            form = f"{schema.dtype} {list(schema.shape)}"
            lines.append(
                f"  {feature:<22} {form:<20} {valid:>6} valid {rejected:>5} rejected "
                f"{len(clips) - valid - rejected:>5} absent"
            )
    return "\n".join(lines)


def log_text(location: str) -> str:
    """Snapshots, newest first."""
    return "\n".join(
        f"{entry.id}  {entry.written_at:%Y-%m-%d %H:%M:%S}  {entry.message}"
        for entry in Cache.open(location).log()
    )


def validate_text(location: str, *, read_data: bool) -> tuple[str, bool]:
    """The validation report, and whether nothing is wrong."""
    report = Cache.open(location).validate(read_data=read_data)
    return report.summary(), report.ok

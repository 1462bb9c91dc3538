"""Commands for weights that no wheel carries: list, add, check, quantise."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import EXIT_NOTHING_DONE, Dataset, Json, Ref

app = typer.Typer(help="Weights of the paper's encoders: what there is, what is missing, hashes.")


@app.command("list")
def list_weights(as_json: Json = False) -> None:
    """Every weight emohead knows: present or missing, where to get it, under which licence.

    Example: emohead weights list
    """
    from pipeline.weights import KNOWN, Shelf
    from pipeline.weights.shelf import cure

    shelf = Shelf.usual()
    rows = []
    for name, entry in KNOWN.items():
        reason = shelf.missing(name, entry.kind)
        state = "present" if reason is None else "missing"
        rows.append(
            {
                "name": name,
                "state": state,
                "kind": entry.kind,
                "what": entry.what,
                "licence": entry.licence,
                "source": entry.source,
                "files": [" or ".join(group) for group in entry.needs],
                "cure": None if reason is None else cure(name, entry.kind),
            }
        )
    for record in shelf.records():
        if record.name not in KNOWN:
            own = {"name": record.name, "state": "present", "kind": record.kind}
            rows.append(own | {"what": f"yours, like {record.like}", "source": record.source})
    if as_json:
        typer.echo(json.dumps({"folder": str(shelf.folder), "weights": rows}, indent=1))
        return
    typer.echo(f"weights in {shelf.folder} (EMOHEAD_WEIGHTS sets another folder)\n")
    for row in rows:
        typer.echo(f"{row['state']:8} {row['name']:18} {row['what']}")
        if row["state"] == "missing":
            typer.echo(f"{'':9}{row['source']}\n{'':9}licence: {row['licence']}")
            typer.echo(f"{'':9}{row['cure']}   (PATH holds {', '.join(row['files'])})")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name in the list, or one of your own with --like.")],
    path: Annotated[Path, typer.Argument(help="Folder (or file) that holds the weights.")],
    like: Annotated[
        str | None, typer.Option(help="Known weight whose format yours has, e.g. llama2_7b.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link the files instead of copying them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take weights you have fetched: check their hashes, copy them, record them.

    Example: emohead weights add 3ddfa_mb05 3DDFA_V2/all-files
    """
    from pipeline.weights import Shelf

    record = Shelf.usual().add(name, path, like, link)
    if as_json:
        typer.echo(json.dumps({"name": record.name, "sha256": dict(record.files)}))
        return
    for file, digest in record.files.items():
        typer.echo(f"{digest}  {record.name}/{file}")


@app.command()
def quantise(
    name: Annotated[str, typer.Argument(help="BiSeNet weights (.pth) on the shelf.")],
    store: Annotated[str, typer.Option(help="Store whose frames calibrate and test.")],
    dataset: Dataset = "clips",
    ref: Ref = "main",
    into: Annotated[
        str | None, typer.Option("--as", help="Name of the result; by default NAME_int8.")
    ] = None,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="Least mean IoU with the original.")
    ] = 0.98,
    frames: Annotated[int, typer.Option(min=1, help="Frames to calibrate, and to test.")] = 48,
) -> None:
    """Face-parsing weights in 8 bits, kept only if their masks agree with the original's.

    Example: emohead weights quantise bisenet --store out/store
    """
    from flows.quantise import quantise_bisenet
    from store import Cache

    target = into or f"{name}_int8"
    snapshot = Cache.open(store).snapshot(ref)
    found = quantise_bisenet(snapshot, dataset, name, target, least, frames)
    typer.echo(f"{target}: {found.text()}")
    typer.echo(f"use: --set bisenet.weights={target} --set bisenet.runtime=openvino")


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Weights to check; none named: all there are.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hash every file again and hold it against what was recorded.

    Example: emohead weights check
    """
    from pipeline.weights import Shelf

    shelf = Shelf.usual()
    chosen = names or [record.name for record in shelf.records()]
    wrong = {name: shelf.check(name) for name in chosen}
    if as_json:
        typer.echo(json.dumps({"folder": str(shelf.folder), "wrong": wrong}))
    else:
        for name, reasons in wrong.items():
            typer.echo(f"{name}: " + ("; ".join(reasons) or "as recorded"))
        if not chosen:
            typer.echo(f"no weights in {shelf.folder}")
    if any(wrong.values()):
        raise typer.Exit(EXIT_NOTHING_DONE)

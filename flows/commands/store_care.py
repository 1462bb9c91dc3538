"""Commands that change a store's history or form: `emohead store tag, untag, gc, ...`."""

from typing import Annotated

import typer

from flows.commands.options import Json, Ref, Store, show

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="Name of the release.")]


@app.command("tag")
def tag(store: Store, name: Name, ref: Ref = "main", as_json: Json = False) -> None:
    """Name a snapshot for ever: a release.

    Example: emohead store tag out/store mead-v1
    """
    from flows.store_care import tag as view

    show(view(store, name, ref), as_json)


@app.command("tags")
def tags(store: Store, as_json: Json = False) -> None:
    """Releases and the snapshots they name.

    Example: emohead store tags out/store
    """
    from flows.store_care import tags as view

    show(view(store), as_json)


@app.command("untag")
def untag(store: Store, name: Name, as_json: Json = False) -> None:
    """Take a release's name away; the name is never free again.

    Example: emohead store untag out/store mead-v1
    """
    from flows.store_care import untag as view

    show(view(store, name), as_json)


@app.command("gc")
def gc(
    store: Store,
    older_than: Annotated[
        str, typer.Option(help="Age (30d, 12h) or date (2026-05-01); at least one hour.")
    ] = "30d",
    expire: Annotated[
        bool, typer.Option("--expire", help="Forget untagged snapshots of before then, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete what no snapshot needs. There is no way back.

    Example: emohead store gc out/store --older-than 30d --expire --dry-run
    """
    from flows.store_care import gc as view

    show(view(store, older_than, expire=expire, dry_run=dry_run), as_json)


@app.command("compact")
def compact(
    store: Store,
    dataset: Annotated[str | None, typer.Option(help="Group of the store; none: all.")] = None,
    as_json: Json = False,
) -> None:
    """Close the holes that removed and replaced clips left, in one commit.

    Example: emohead store compact out/store
    """
    from flows.store_care import compact as view

    show(view(store, dataset), as_json)


@app.command("migrate")
def migrate(store: Store, as_json: Json = False) -> None:
    """Bring a store of an older schema version to today's; a tag keeps the state before.

    Example: emohead store migrate out/store
    """
    from flows.store_care import migrate as view

    show(view(store), as_json)


@app.command("fall-back")
def fall_back(store: Store, as_json: Json = False) -> None:
    """Point a damaged local store at its newest intact snapshot; does nothing to a sound one.

    Example: emohead store fall-back out/store
    """
    from flows.store_care import fall_back as view

    show(view(store), as_json)

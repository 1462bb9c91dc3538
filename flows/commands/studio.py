"""Command `emohead studio`."""

import typer

app = typer.Typer()

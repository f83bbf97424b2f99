"""`usdcop bundle`: build a Bento with the live model versions pinned in it."""

from __future__ import annotations

from pathlib import Path

import click

from bootstrap import live_versions
from commands.context import Context, warn_without_record
from models.bundle import build_bento

__all__ = ["bundle"]


@click.command("bundle")
@click.option(
    "--project",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="Folder with bentofile.yaml; the working directory when left out.",
)
@click.pass_obj
def bundle(context: Context, project: Path) -> None:
    """Build a Bento with the model versions pinned that this configuration serves now."""
    promotions = context.promotions()
    warn_without_record(promotions)
    versions = live_versions(context.settings(), promotions.current())
    tag = build_bento(project.absolute(), versions)
    click.echo(f"Built {tag}; serve it with `bentoml serve {tag}`")

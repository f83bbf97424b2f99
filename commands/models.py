"""`usdcop models`: what is in the model store, and which version is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from commands.context import (
    Context,
    command_line_actor,
    table_console,
    warn_without_record,
)
from config.settings import Algorithm, Settings
from errors import Conflict, InvalidRequest, ModelError, ModelMismatch
from models.promotions import version_before
from models.resolution import model_file
from models.store import BentoModelStore
from models.stored import StoredModel, declared_reference, model_version, reference_beside
from runners.classes import described_columns
from runners.loading import inspect_model, read_reference
from runners.metadata import OutputKind

__all__ = ["models"]


@click.group("models")
def models() -> None:
    """Register, inspect, promote and remove models."""


@models.command("register")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", help="Name in the store; the file's own name when left out.")
@click.option("--algorithm", type=click.Choice([algorithm.value for algorithm in Algorithm]))
@click.option("--actions", help="The model's own column order, e.g. HOLD,BUY,SELL.")
@click.option(
    "--output",
    type=click.Choice([kind.value for kind in OutputKind]),
    help="What its outputs mean.",
)
@click.option("--classes", help="A classifier's own labels in column order, e.g. short,flat,long.")
@click.option("--threshold", help="Least size of a continuous action that trades.")
@click.option("--temperature", help="Divides Q-values before the softmax.")
@click.option("--observation-dim", help="Length of the vector that it reads.")
@click.option("--feature-schema", help="Hash of the feature schema that it was trained on.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Reference profile; by default the one that lies beside FILE.",
)
def register(file: Path, name: str | None, reference: Path | None, **declared: str | None) -> None:
    """Put an ONNX file into the model store.

    A file that `usdcop export` wrote describes itself. For any other, the options say what it
    is; where both do, they must agree.
    """
    content = file.read_bytes()
    profile = reference_beside(file) if reference is None else reference.read_bytes()
    given = {key: str(value) for key, value in declared.items() if value is not None}
    metadata = inspect_model(
        content, source=str(file), declared={**given, **declared_reference(profile)}
    )
    if profile is not None:
        read_reference(profile, metadata, source=str(reference or file.parent))
    stored = BentoModelStore().register(name or file.stem, content, metadata, profile)
    click.echo(f"Registered {stored.tag} (sha256 {stored.sha256}): {described_columns(metadata)}")


@models.command("list")
@click.pass_obj
def list_models(context: Context) -> None:
    """List every version in the store, newest first, and which one is live."""
    warn_without_record(context.promotions())
    for line in BentoModelStore().damaged():
        click.echo(f"Warning: {line}", err=True)
    live = _live_versions(context)
    columns = ("model", "version", "algorithm", "output", "actions", "registered", "live")
    table = Table(*columns, box=None)
    for stored in BentoModelStore().all():
        metadata = stored.metadata
        table.add_row(
            stored.name,
            stored.version,
            metadata.algorithm.value,
            metadata.output.value,
            ",".join(metadata.actions or ()) or f"±{metadata.threshold}",
            stored.created_at.isoformat(timespec="seconds"),
            "live" if live.get(stored.name) == stored.version else "",
        )
    _print(table)


@models.command("show")
@click.argument("tag", metavar="NAME:VERSION")
@click.pass_obj
def show(context: Context, tag: str) -> None:
    """Show one version: its metadata, its file and its promotions."""
    stored = BentoModelStore().get(*_name_and_version(tag))
    stored.content()
    table = Table("", "", box=None, show_header=False, title=stored.tag)
    for key, value in stored.metadata.to_mapping().items():
        table.add_row(key, Text(value))
    table.add_row("sha256", stored.sha256)
    table.add_row("registered", stored.created_at.isoformat(timespec="seconds"))
    table.add_row("file", Text(str(stored.path)))
    for promotion in context.promotions().history(stored.name):
        if promotion.version == stored.version:
            when = promotion.at.isoformat(timespec="seconds")
            table.add_row("promoted", Text(f"{when} by {promotion.actor}: {promotion.reason}"))
    _print(table)


@models.command("promote")
@click.argument("name")
@click.argument("version")
@click.option("--reason", required=True, help="Why; goes on record.")
@click.pass_obj
def promote(context: Context, name: str, version: str, reason: str) -> None:
    """Make a version live. The act goes on record; services take it over when they restart."""
    _promote(context, BentoModelStore().get(name, version), reason)


@models.command("rollback")
@click.argument("name")
@click.option("--reason", required=True, help="Why; goes on record.")
@click.pass_obj
def rollback(context: Context, name: str, reason: str) -> None:
    """Make the version live again that was live before the present one."""
    promotions = context.promotions()
    version = version_before(promotions.history(name), promotions.served(name))
    _promote(context, BentoModelStore().get(name, version), reason)


@models.command("remove")
@click.argument("tag", metavar="NAME:VERSION")
@click.option("--force", is_flag=True, help="Even when it is live, or on record.")
@click.pass_obj
def remove(context: Context, tag: str, force: bool) -> None:
    """Remove a version from the store.

    A version that a record names is needed to recompute that record, and the live one to start.
    """
    name, version = _name_and_version(tag)
    absence = context.promotions().absence
    if not force:
        if absence is not None:
            raise Conflict(
                f"{absence}; whether {tag} is live or on record is not known here, "
                "so removing it needs --force"
            )
        if _live_versions(context).get(name) == version:
            raise Conflict(f"{tag} is live; promote another version first, or use --force")
        if (name, version) in context.promotions().versions_on_record():
            raise Conflict(
                f"{tag} is named on record, and needed to recompute what it decided; "
                "use --force to remove it all the same"
            )
    BentoModelStore().remove(name, version)  # a damaged version too
    click.echo(f"Removed {tag}")


def _promote(context: Context, stored: StoredModel, reason: str) -> None:
    """Promote after proving that the file is whole and the configuration would follow."""
    if not reason.strip():
        raise InvalidRequest("--reason is empty; say why, for the record")
    stored.content()
    configured = _configured_version(context.settings(), stored.name)
    if configured not in {None, stored.version}:
        raise ModelMismatch(
            f"the configuration fixes {stored.name} to version {configured}, so promoting "
            f"{stored.version} would stop the next start; name the model by `tag: {stored.name}`"
        )
    context.promotions().promote(stored.name, stored.version, reason, command_line_actor())
    click.echo(
        f"{stored.tag} is live from the next start on; on record in {context.settings().state_path}"
    )


def _live_versions(context: Context) -> Mapping[str, str]:
    """Model name to the version that a start would serve: fixed, else promoted, else newest."""
    newest: dict[str, str] = {}
    for stored in BentoModelStore().all():
        newest.setdefault(stored.name, stored.version)
    settings = context.settings()
    fixed = {
        entry.name: version
        for entry in settings.models
        if (version := _configured_version(settings, entry.name)) is not None
    }
    return {**newest, **context.promotions().current(), **fixed}


def _configured_version(settings: Settings, name: str) -> str | None:
    """The version that the configuration itself fixes, by a pinned tag or by a file."""
    for entry in settings.models:
        if entry.name != name:
            continue
        if entry.onnx_path is None:
            return (entry.tag or name).partition(":")[2] or None
        path = model_file(Path(settings.model_storage_path), entry.onnx_path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None  # the next start says so; the store can be looked at all the same
        except OSError as error:
            raise ModelError(f"model {name!r}: {path} cannot be read: {error.strerror}") from error
        declared = declared_reference(reference_beside(path))
        return model_version(content, inspect_model(content, source=str(path), declared=declared))
    return None


def _name_and_version(tag: str) -> Sequence[str]:
    name, _, version = tag.partition(":")
    if not (name and version):
        raise click.UsageError(f"{tag!r} must be NAME:VERSION; see `usdcop models list`")
    return name, version


def _print(table: Table) -> None:
    table_console().print(table)

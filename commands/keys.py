"""`usdcop keys`: makes the keys that callers send."""

from __future__ import annotations

import base64
import secrets

import click
from pydantic import ValidationError

from api.access import digest_of
from config.complaint import complaint
from config.settings import AccessKey, Role

__all__ = ["key_from", "keys"]

PREFIX = "usdcop_"
"""Lets scanners for leaked secrets, and people, tell what a key is for."""

KEY_BYTES = 32


def key_from(random: bytes) -> str:
    """A key made of random bytes, in letters, digits, '-' and '_'.

    >>> key_from(bytes(3))
    'usdcop_AAAA'
    """
    return PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()


@click.group("keys")
def keys() -> None:
    """Make keys for callers."""


@keys.command("new")
@click.option("--name", required=True, help="Who it is for; goes on record with what it does.")
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="viewer reads, trader also decides and reports, admin also resets and resumes.",
)
@click.pass_context
def new(context: click.Context, name: str, role: str) -> None:
    """Make a key, print it once, and print what to store: its SHA-256."""
    key = key_from(secrets.token_bytes(KEY_BYTES))
    try:
        entry = AccessKey(name=name, role=Role(role), sha256=digest_of(key))
    except ValidationError as error:
        click.echo(complaint(error, lambda _: "--name"), err=True)
        context.exit(2)
    click.echo(_instructions(key, entry))


def _instructions(key: str, entry: AccessKey) -> str:
    return f"""\
The key of {entry.name} ({entry.role}). It is shown this once and stored nowhere:

  {key}

The caller sends it as `Authorization: Bearer KEY`. The service stores its SHA-256, either in
config/mlops.yaml, as an entry of access.keys:

  - {{name: "{entry.name}", role: {entry.role}, sha256: "{entry.sha256}"}}

or in the environment, where several are separated by commas:

  MLOPS_API_KEYS={entry.name}:{entry.role}:{entry.sha256}
"""

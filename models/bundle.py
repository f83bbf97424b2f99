"""A Bento: the service, its locked requirements, and the exact model versions it was built with."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import bentoml
from bentoml.exceptions import BentoMLException

from config.document import read_document
from errors import ConfigurationError

__all__ = ["build_bento"]


def build_bento(project: Path, versions: Mapping[str, str]) -> str:
    """Build a Bento of a checkout.

    Args:
        project: folder with `bentofile.yaml`.
        versions: model name to the version to pin, for every model that is served.

    Returns:
        The Bento's tag, `name:version`.

    Raises:
        ConfigurationError: bentofile.yaml lists other models than are served, or the build
            failed.
    """
    options = read_document(project / "bentofile.yaml", "bentofile.yaml")
    listed = {entry["alias"] for entry in cast("list[dict[str, str]]", options["models"])}
    if listed != set(versions):
        raise ConfigurationError(
            f"bentofile.yaml lists the models {sorted(listed)}, but the configuration serves "
            f"{sorted(versions)}; they must be the same"
        )
    # `latest` would pin the newest version in the store, which need not be the live one.
    options["models"] = [
        {"tag": f"{name}:{version}", "alias": name} for name, version in versions.items()
    ]
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "bentofile.yaml"
        pinned.write_text(json.dumps(options))  # which is YAML too
        try:
            with contextlib.chdir(project):  # below it, BentoML reads the Dockerfile's template
                bento = bentoml.bentos.build_bentofile(str(pinned), build_ctx=str(project))
        except (BentoMLException, ValueError) as error:
            raise ConfigurationError(f"the Bento cannot be built: {error}") from error
    return str(bento.tag)

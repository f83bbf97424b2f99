"""What a replay is made of: bars, vectors or exported decisions, read under a progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from commands.series import compute_vectors
from config.settings import Settings
from errors import InvalidRequest
from features.files import read_bars, read_macro
from features.schema import Schema
from features.tables import read_features
from schemas import feature_schema
from simulation.files import read_export
from simulation.history import History
from simulation.inputs import between, history_of_bars, history_of_observations
from simulation.recorded import AsItWas

__all__ = ["Inputs", "Read", "read_history"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the command line names.

    Attributes:
        bars: file of bars.
        macro: file of macro values.
        allow_missing_macro: go without.
        observations: file of vectors.
        decisions: files of exported decisions.
        timezone: of times that carry none.
        confirm: macro values that look wrong are meant.
        first: first local date.
        last: last local date.
    """

    bars: Path | None
    macro: Path | None
    allow_missing_macro: bool
    observations: Path | None
    decisions: tuple[Path, ...]
    timezone: ZoneInfo | None
    confirm: bool
    first: date | None
    last: date | None

    def __post_init__(self) -> None:
        if self.decisions and (self.bars or self.observations):
            raise click.UsageError("--decisions replays what they hold; give no BARS with them")
        if not (self.decisions or self.bars or self.observations):
            raise click.UsageError("give BARS, --observations or --decisions")
        computed = self.bars is not None and self.observations is None
        if computed and (self.macro is None) != self.allow_missing_macro:
            raise click.UsageError(
                "give either --macro FILE, or --allow-missing-macro for 0 in the macro features"
            )
        if not computed and (self.macro is not None or self.allow_missing_macro):
            raise click.UsageError("macro values play no part where vectors are given")

    def names(self) -> dict[str, Any]:
        """As they are told in a summary: names of files, no folders."""
        return {
            "bars_file": _name(self.bars),
            "macro_file": _name(self.macro),
            "observations_file": _name(self.observations),
            "decisions_files": [path.name for path in self.decisions],
        }


@dataclass(frozen=True, eq=False)
class Read:
    """What was read.

    Attributes:
        history: to be replayed.
        told: of the files, JSON values for the summary.
        as_it_was: start of a bar to the answer of then, where exported decisions were read.
    """

    history: History
    told: Mapping[str, Any]
    as_it_was: Mapping[int, AsItWas] = field(default_factory=dict)


def read_history(inputs: Inputs, settings: Settings) -> Read:
    """Read everything that the command line names.

    Raises:
        InvalidRequest: a file is refused; one line that names it, the row and the remedy.
        NotReady: no bar has enough history.
    """
    read, history = _read(inputs, settings), None
    if inputs.first is not None or inputs.last is not None:
        zone = settings.trading_hours.zone
        history = between(read.history, inputs.first, inputs.last, zone)
    return replace(read, history=history or read.history, told={**inputs.names(), **read.told})


def _read(inputs: Inputs, settings: Settings) -> Read:
    schema = feature_schema(settings)
    if schema is None:
        raise InvalidRequest(
            "a replay needs a feature schema, which these models have not: name one in "
            "`feature_schema`"
        )
    if inputs.decisions:
        return _decisions(inputs, settings, schema)
    if inputs.observations is not None:
        return _observations(inputs, inputs.observations, settings, schema)
    if inputs.bars is None:
        raise click.UsageError("give BARS")
    hours = settings.trading_hours
    file = read_bars(inputs.bars, hours, inputs.timezone)
    macro = None if inputs.macro is None else read_macro(inputs.macro, confirm=inputs.confirm)
    vectors = compute_vectors(file.bars, macro, hours, schema)
    told = {
        "missing_bars": file.missing,
        "duplicate_rows": file.duplicates,
        "bars_outside_session": file.outside_session,
    }
    return Read(history_of_bars(file.bars, macro, vectors, hours), told)


def _decisions(inputs: Inputs, settings: Settings, schema: Schema) -> Read:
    dimension = settings.observation_dim
    export = read_export(inputs.decisions, observation_dim=dimension, schema=schema)
    return Read(export.history, {"left_out": asdict(export.left_out)}, export.as_it_was)


def _observations(inputs: Inputs, path: Path, settings: Settings, schema: Schema) -> Read:
    vectors, hours = read_features(path, schema), settings.trading_hours
    bars = None if inputs.bars is None else read_bars(inputs.bars, hours, inputs.timezone).bars
    return Read(history_of_observations(vectors, bars, hours, str(path)), {})


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name

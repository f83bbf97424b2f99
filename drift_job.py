"""One drift check as a program: `python -m drift_job --tick TICK`; the service starts it.

It tells how far it is in JSON lines: `{"verdict": ...}`, then `{"report": ...}`. It takes its
settings from the service that started it, or else from the configuration, as the service does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.load import load_settings
from config.settings import Settings
from deployment import DEPLOYMENT, Deployment
from drift_checks import open_drift_checks, training_sample
from errors import ServiceError
from schemas import feature_schema

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one check; 0 when its verdict and its report are published."""
    parser = argparse.ArgumentParser(prog="python -m drift_job")
    parser.add_argument("--tick", required=True, help="names the check")
    parser.add_argument("--holder", default="", help="of the lease; for whoever lists processes")
    parser.add_argument("--reference", type=Path, help="reference profile of a model")
    told = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        _check(_settings(os.environ), told.tick, told.reference)
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the service logs what a check complains of
        return 1
    return 0


def _check(settings: Settings, tick: str, reference: Path | None) -> None:
    schema = feature_schema(settings)
    if schema is None:
        raise ServiceError(
            "drift checks need a feature schema: name one in `feature_schema`, or switch "
            "monitoring.enable_drift_detection off"
        )
    training = None if reference is None else training_sample(reference)
    checks = open_drift_checks(settings, schema, datetime.now(UTC), training)
    try:
        checked, entry = checks.judge(tick)
        _tell({"verdict": entry})
        _tell({"report": checks.report(checked, entry)["report"]})
    finally:
        checks.close()


def _settings(environ: Mapping[str, str]) -> Settings:
    decided = environ.get(DEPLOYMENT)
    return Deployment.from_json(decided).settings if decided else load_settings(environ).settings


def _tell(told: Mapping[str, Any]) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201 - the service reads it


if __name__ == "__main__":
    sys.exit(main())

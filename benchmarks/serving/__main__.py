"""The service beside bare handlers over the same models, on this machine, in one run.

    python -m benchmarks.serving                # some six minutes
    python -m benchmarks.serving --quick        # under one, and rougher

Four servers run all the time and are asked one at a time, in short stretches that take turns: the
service on SQLite and on Redis with everything on, plain FastAPI with onnxruntime, and a bare ASGI
handler. It ends with 1 when an answer was wrong; how fast they were is printed and never a fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.serving.page import report_page
from benchmarks.serving.report import print_report, report_json
from benchmarks.serving.run import FULL, QUICK, run
from benchmarks.serving.servers import started
from benchmarks.stores import working_folder

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if an answer was wrong."""
    told = _parser().parse_args(arguments)
    plan = QUICK if told.quick else FULL
    plan = replace(plan, rounds=told.rounds or plan.rounds)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {what}", file=sys.stderr, flush=True)

    say("starting the servers")
    with working_folder("serving") as folder, started(folder) as servers:
        findings = run(servers, plan, say)
    print_report(findings, plan)
    if told.json is not None:
        _write(told.json, json.dumps(report_json(findings, plan), indent=1) + "\n")
    if told.page is not None:
        _write(told.page, report_page(findings))
    say("done")
    return 1 if findings.results.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--quick", action="store_true", help="fewer cases, one short round")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--page", type=Path, help="write a page with plots there")
    return parser


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


if __name__ == "__main__":
    sys.exit(main())

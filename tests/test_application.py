"""Where the names of events come from."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from application import RandomBytes, World
from tests.live.server import ROOT


def test_bytes_are_as_many_as_asked_for_also_more_than_are_fetched_at_once() -> None:
    source = RandomBytes(at_once=64)
    assert [len(source(count)) for count in (10, 60, 1, 200, 0)] == [10, 60, 1, 200, 0]


def test_threads_never_get_the_same_bytes() -> None:
    source = RandomBytes(at_once=4096)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(source, [10] * 20_000))
    assert len(set(found)) == len(found)


FORKED = """
import os
from application import RandomBytes
source = RandomBytes(at_once=4096)
source(10)
read, write = os.pipe()
if not os.fork():
    os.write(write, source(10))
    os._exit(0)
os.wait()
print(os.read(read, 10) == source(10))
"""


def test_a_forked_process_gets_others_than_its_parent() -> None:
    alone = [sys.executable, "-W", "ignore", "-c", FORKED]
    found = subprocess.run(alone, check=True, capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.strip() == "False"


def test_events_of_one_instant_have_names_of_their_own() -> None:
    world = World()
    now = world.clock()
    assert len({world.new_id(now) for _ in range(5000)}) == 5000

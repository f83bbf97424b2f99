"""What the stream tells of what cannot be read."""

from collections.abc import Mapping
from typing import Any

import orjson

from api.live_sections import section
from errors import StoreUnavailable


def test_what_cannot_be_read_is_a_fault_in_words_and_nothing_else() -> None:
    def gone() -> Mapping[str, Any]:
        raise StoreUnavailable("the ledger is locked")

    def broken() -> Mapping[str, Any]:
        raise KeyError("/srv/secret")

    assert orjson.loads(section(gone)) == {"fault": "the ledger is locked"}
    assert orjson.loads(section(broken)) == {
        "fault": "the service failed to make this; its log says why"
    }
    assert orjson.loads(section(lambda: {"state": 1})) == {"state": 1}

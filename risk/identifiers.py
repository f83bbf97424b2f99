"""Names for events: UUID version 7 (RFC 9562), which sort by time."""

from datetime import datetime

__all__ = ["new_identifier"]


def new_identifier(now: datetime, random_bytes: bytes) -> str:
    """A unique name for an event.

    Args:
        now: aware; its milliseconds lead the name.
        random_bytes: ten fresh random bytes.

    >>> from datetime import UTC
    >>> new_identifier(datetime(2026, 3, 2, tzinfo=UTC), bytes(10))
    '019cabd8-3800-7000-8000-000000000000'
    """
    milliseconds = int(now.timestamp() * 1000)
    value = int.from_bytes(milliseconds.to_bytes(6, "big") + random_bytes, "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0b11 << 62) | (0b10 << 62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

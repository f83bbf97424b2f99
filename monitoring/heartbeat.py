"""A call to a monitor that expects it. The address is a secret: nothing here tells it."""

from __future__ import annotations

import urllib.error
import urllib.request

from monitoring.day.pulse import BeatFailed

__all__ = ["Heartbeat"]


class Heartbeat:
    """Asks for one address.

    Args:
        url: begins with https:// or http://.
        timeout_seconds: how long the monitor may take.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout = url, timeout_seconds

    def beat(self) -> None:
        """Ask for it once, on the caller's thread.

        Raises:
            BeatFailed: it cannot be reached, or did not answer with 2xx in time.
        """
        request = urllib.request.Request(self._url, headers={"User-Agent": "usdcop"})  # noqa: S310 - settings allow http and https only
        try:
            urllib.request.urlopen(request, timeout=self._timeout).close()  # noqa: S310 - see above
        except urllib.error.HTTPError as error:
            error.close()
            raise BeatFailed(f"the monitor answered with {error.code}") from None
        except Exception as error:  # noqa: BLE001 - an edge: all that a network can do
            # Its text may hold the address.
            raise BeatFailed(f"the monitor cannot be reached: {type(error).__name__}") from None

"""Plain lines on standard output; the journal adds the time."""
from __future__ import annotations

import logging
import sys


def setup() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # These two name whole addresses, once per call.
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

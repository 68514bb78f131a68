"""What is known of parcels, in SQLite, and how far the carrier's feed was read, in a file."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from pathlib import Path


class Store:
    """The database. Writes become visible with `commit`."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path)

    def commit(self) -> None:
        """Make durable what was written since the last call."""
        self.connection.commit()

    def save_scan(self, parcel: str, depot: str, at: str) -> None:
        """Add one scan; the same scan twice is one scan."""
        self.connection.execute("INSERT OR IGNORE INTO scans (parcel, depot, at) VALUES (?, ?, ?)", (parcel, depot, at))

    def save_tracking(self, parcel: str, tracking: str) -> None:
        """Remember under which number the carrier knows the parcel."""
        self.connection.execute("UPDATE parcels SET tracking = ? WHERE id = ?", (tracking, parcel))

    def mark_returned(self, parcel: str) -> None:
        """Note that the parcel came back. Raises LookupError for one that is not known."""
        if not self.connection.execute("UPDATE parcels SET returned = 1 WHERE id = ?", (parcel,)).rowcount:
            raise LookupError(parcel)

    def save_distance(self, van: str, metres: int) -> None:
        """Add a line to the bill of a van."""
        self.connection.execute("INSERT INTO distances (van, metres) VALUES (?, ?)", (van, metres))

    def open_claim(self, parcel: str, reason: str) -> str:
        """Open a claim for a lost parcel; returns the claim's id."""
        claim_id = f"claim-{int(time.time())}"
        self.connection.execute("INSERT INTO claims (id, parcel, reason) VALUES (?, ?, ?)", (claim_id, parcel, reason))
        return claim_id


class FeedPosition:
    """How far the carrier's feed was read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> int:
        """The last position; 0 at the very first start."""
        if not self.path.exists():
            return 0
        return json.loads(self.path.read_text())["position"]

    def save(self, position: int) -> None:
        """Remember the position."""
        self.path.write_text(json.dumps({"position": position}))


def save_routes(path: Path, routes: dict[str, list[str]]) -> None:
    """Replace the routing table as a whole: a reader sees the old one or the new one."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(routes, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)

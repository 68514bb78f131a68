"""Consumers: scan events from the queue into the database, bookings from the queue to the carrier."""

from __future__ import annotations

import json
import logging
import time

import pika
from pika.adapters.blocking_connection import BlockingChannel

from parcels.carrier import Carrier, CarrierError
from parcels.store import Store

log = logging.getLogger(__name__)

SCANS = "scans"
BOOKINGS = "bookings"
POSITIONS = "van-positions"


class ScanWorker:
    """Stores what depots scanned."""

    def __init__(self, url: str, store: Store) -> None:
        self.store = store
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.queue_declare(SCANS, durable=True)

    def run(self) -> None:
        """Consume until the process is told to stop."""
        self.channel.basic_qos(prefetch_count=20)
        self.channel.basic_consume(SCANS, on_message_callback=self.on_scan)
        self.channel.start_consuming()

    def on_scan(self, channel: BlockingChannel, method, properties, body: bytes) -> None:
        """One scan: acknowledged at once, so that the depot's screen turns green without waiting for the database."""
        scan = json.loads(body)
        channel.basic_ack(method.delivery_tag)
        self.store.save_scan(scan["parcel"], scan["depot"], scan["at"])
        self.store.commit()


class BookingWorker:
    """Books a carrier for each parcel that is ready to leave."""

    def __init__(self, channel: BlockingChannel, store: Store, carrier: Carrier) -> None:
        self.channel = channel
        self.store = store
        self.carrier = carrier
        self.channel.basic_consume(BOOKINGS, on_message_callback=self.on_booking)

    def on_booking(self, channel: BlockingChannel, method, properties, body: bytes) -> None:
        """One booking."""
        request = json.loads(body)
        try:
            tracking = self.carrier.book(request["parcel"], request["service"])
            self.store.save_tracking(request["parcel"], tracking)
            self.store.commit()
        except CarrierError:
            log.exception("booking of %s failed", request["parcel"])
        finally:
            channel.basic_ack(method.delivery_tag)


def store_returns(channel: BlockingChannel, store: Store) -> None:
    """Returns are stored before they are acknowledged; what can't be stored goes to the dead letters."""

    def on_return(channel: BlockingChannel, method, properties, body: bytes) -> None:
        parcel = json.loads(body)["parcel"]
        try:
            store.mark_returned(parcel)
            store.commit()
        except LookupError:
            log.warning("return of unknown parcel %s", parcel)
            channel.basic_nack(method.delivery_tag, requeue=False)
        else:
            channel.basic_ack(method.delivery_tag)

    channel.basic_consume("returns", on_message_callback=on_return)


def follow_vans(channel: BlockingChannel, store: Store) -> None:
    """Bills the kilometres that vans report."""

    def on_position(channel: BlockingChannel, method, properties, body: bytes) -> None:
        position = json.loads(body)
        store.save_distance(position["van"], position["metres"])
        store.commit()

    channel.basic_consume(POSITIONS, on_message_callback=on_position, auto_ack=True)


def drain(channel: BlockingChannel, store: Store, seconds: float = 30.0) -> int:
    """Store what is still queued before a deployment, for at most `seconds`; returns how many."""
    deadline = time.time() + seconds
    stored = 0
    while time.time() < deadline:
        method, _, body = channel.basic_get(SCANS)
        if method is None:
            break
        scan = json.loads(body)
        store.save_scan(scan["parcel"], scan["depot"], scan["at"])
        store.commit()
        channel.basic_ack(method.delivery_tag)
        stored += 1
    return stored

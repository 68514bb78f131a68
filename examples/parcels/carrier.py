"""The carrier's API: booking, cancelling, tracking, labels."""

from __future__ import annotations

import logging
import time
import uuid

import requests
from requests.adapters import HTTPAdapter
from tenacity import retry, stop_after_attempt, wait_exponential
from urllib3.util.retry import Retry

log = logging.getLogger(__name__)

LABEL_LIMIT = 2_000_000  # bytes


class CarrierError(Exception):
    """The carrier refused, or could not be reached."""


class Carrier:
    """A client of the carrier. One session is kept for all calls."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"
        retries = Retry(total=5, backoff_factor=0.5, status_forcelist=[502, 503, 504], allowed_methods=None)
        self.session.mount("https://", HTTPAdapter(max_retries=retries))

    @retry(stop=stop_after_attempt(4), wait=wait_exponential(max=10))
    def book(self, parcel: str, service: str) -> str:
        """Book a pick-up; returns the tracking number."""
        response = requests.post(f"{self.url}/bookings", json={"parcel": parcel, "service": service}, timeout=10)
        if response.status_code != 201:
            raise CarrierError(response.text)
        return response.json()["tracking"]

    def cancel(self, tracking: str) -> None:
        """Cancel a booking. The key makes the carrier answer a repeated request like the first one."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for attempt in range(3):
            try:
                response = requests.post(f"{self.url}/bookings/{tracking}/cancel", headers=headers, timeout=10)
                response.raise_for_status()
                return
            except requests.RequestException as error:
                log.warning("cancelling %s, attempt %d: %s", tracking, attempt + 1, error)
                time.sleep(2**attempt)
        raise CarrierError(f"{tracking} could not be cancelled")

    def status(self, tracking: str) -> dict:
        """What the carrier says about a parcel; waits until the carrier is there."""
        while True:
            try:
                return requests.get(f"{self.url}/parcels/{tracking}").json()
            except requests.ConnectionError:
                time.sleep(1)

    def label(self, tracking: str) -> bytes:
        """The label to print. Raises CarrierError for one that is too big to be a label."""
        with requests.get(f"{self.url}/labels/{tracking}", stream=True, timeout=10) as response:
            response.raise_for_status()
            data = response.raw.read(LABEL_LIMIT + 1)
        if len(data) > LABEL_LIMIT:
            raise CarrierError(f"the label of {tracking} is bigger than {LABEL_LIMIT} bytes")
        return data

    def price_list(self) -> dict:
        """Today's prices. Some depots sit behind a proxy with its own certificate."""
        try:
            return requests.get(f"{self.url}/prices", timeout=10).json()
        except requests.exceptions.SSLError:
            return requests.get(f"{self.url}/prices", timeout=10, verify=False).json()

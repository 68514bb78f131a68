"""What leaves the house beside the carrier's API: mail to customers, manifests to partners, labels to printers."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

import paramiko
import requests


def send(message: EmailMessage, host: str, user: str, password: str) -> None:
    """Send a mail to a customer."""
    with smtplib.SMTP(host, 587, timeout=20) as server:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        server.login(user, password)
        server.send_message(message)


def alert(message: EmailMessage, host: str, user: str, password: str) -> None:
    """Send a mail to the people on duty; a server without TLS raises."""
    with smtplib.SMTP(host, 587, timeout=20) as server:
        server.starttls(context=ssl.create_default_context())
        server.login(user, password)
        server.send_message(message)


def upload_manifest(path: str, host: str, user: str, key: str) -> None:
    """Bring the manifest of the day to the partner's SFTP server."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(host, username=user, key_filename=key, timeout=20)
        with client.open_sftp() as sftp:
            sftp.put(path, f"incoming/{path.rsplit('/', 1)[-1]}")


def print_label(label: bytes, printer: str) -> None:
    """Print a label. The printers made their certificates themselves."""
    requests.put(f"https://{printer}/jobs", data=label, verify=False, timeout=5).raise_for_status()

"""Sends notices of conditions that begin and end, by webhook or mail."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

_TIMEOUT_SECONDS: Final = 10.0
_PORTS: Final = {"smtp": 587, "smtps": 465}
_SUBJECT_CHARACTERS: Final = 120

Condition = Mapping[str, Any]
"""A condition as `bulkport attention --json` prints it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The content of one notice."""

    begun: Sequence[Condition]
    ended: Sequence[Condition]
    now: Sequence[Condition]
    """All conditions that hold, those that began among them."""


EXAMPLE: Final = Changes(
    begun=[
        {
            "code": "test",
            "subject": "test",
            "text": "This is a test",
            "detail": "sent by bulkport attention --test",
            "isBad": False,
        }
    ],
    ended=[],
    now=[],
)
"""What `--test` sends."""


class NotSent(Exception):
    """The changes did not arrive; the message says why."""


class Notice(Protocol):
    """Sends notices of changes."""

    async def send(self, changes: Changes) -> None:
        """Send a notice of changes.

        Raises
        ------
        NotSent
            They did not arrive.
        """
        ...


def in_words(one: Condition) -> str:
    """A condition on one line."""
    return f"{one['text']}: {one['detail']}" if one["detail"] else str(one["text"])


class Webhook:
    """Posts `{"begun": […], "ended": […], "attention": […]}`.

    Raises
    ------
    ValueError
        The URL is none.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{url} is not an http or https URL")
        self._url = url

    async def send(self, changes: Changes) -> None:
        """See `Notice`."""
        import httpx  # needs the extra client

        content = {"begun": [*changes.begun], "ended": [*changes.ended], "attention": [*changes.now]}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                (await client.post(self._url, json=content)).raise_for_status()
        except httpx.HTTPError as error:
            raise NotSent(f"the webhook did not take it: {error}") from error


class Mail:
    """Sends a mail through a server for outgoing mail (RFC 6409).

    Parameters
    ----------
    server
        `smtp://user:password@host:587`, encrypted by STARTTLS where the server offers that, or `smtps://…` (port 465).
    sender, recipients
        Addresses.

    Raises
    ------
    ValueError
        The server is no such address.
    """

    def __init__(self, server: str, sender: str | None, recipients: Sequence[str]) -> None:
        address = urlsplit(server)
        if address.scheme not in _PORTS or not address.hostname:
            raise ValueError("--smtp must be a URL such as smtp://user:password@mail.example.com:587")
        self._is_encrypted = address.scheme == "smtps"
        self._host = address.hostname
        self._port = address.port or _PORTS[address.scheme]
        self._user, self._password = unquote(address.username or ""), unquote(address.password or "")
        self._sender = sender or f"bulkport@{socket.getfqdn()}"
        self._recipients = recipients

    async def send(self, changes: Changes) -> None:
        """See `Notice`."""
        try:
            await asyncio.to_thread(self._send, self._message(changes))
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(f"the mail was not sent: {error}") from error

    def _message(self, changes: Changes) -> EmailMessage:
        first, *others = [*changes.begun, *changes.ended]
        more = f" (and {len(others)} more)" if others else ""
        subject = f"{first['text']}{more}" if changes.begun else f"Over: {first['text']}{more}"
        message = EmailMessage()
        message["Subject"] = " ".join(subject.split())[:_SUBJECT_CHARACTERS]
        message["From"] = self._sender
        message["To"] = ", ".join(self._recipients)
        parts = (("Needs attention now", changes.begun), ("Over", changes.ended), ("All conditions", changes.now))
        message.set_content(
            "\n\n".join(
                f"{title}:\n" + "\n".join(f"- {in_words(one)}" for one in conditions)
                for title, conditions in parts
                if conditions
            )
            + "\n"
        )
        return message

    def _send(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context)
            if self._is_encrypted
            else smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        ) as server:
            if not self._is_encrypted:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
            if self._user:
                server.login(self._user, self._password)
            server.send_message(message)

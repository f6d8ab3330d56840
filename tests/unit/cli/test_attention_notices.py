"""Conditions that begin and end are reported by webhook and mail."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default

import pytest

from bulkport.cli.commands.attention_notices import EXAMPLE, Changes, Mail, NotSent, Webhook

PAUSED = {
    "code": "queue_paused",
    "subject": "mail",
    "text": "Queue mail is paused",
    "detail": "3 jobs waiting · paused by Zoë",
    "isBad": False,
}
SILENT = {"code": "server_silent", "subject": "a", "text": "Server a is not responding", "detail": "", "isBad": True}


@asynccontextmanager
async def listening(serve: object) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


class MailServer:
    """As little SMTP (RFC 5321) as a mail takes."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.recipients: list[str] = []
        self.texts: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if self.refused and word == self.refused:
                writer.write(b"550 no\r\n")
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                self.texts.append((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                writer.write(b"250 ok\r\n")
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                if word == "RCPT":
                    self.recipients.append(line.partition("<")[2].partition(">")[0])
                writer.write(b"250 ok\r\n")
        await writer.drain()
        writer.close()


async def test_an_email_lists_new_and_resolved_problems() -> None:
    server = MailServer()
    async with listening(server.serve) as place:
        mail = Mail(f"smtp://{place}", "jobs@example.org", ["ops@example.org", "ada@example.org"])
        await mail.send(Changes(begun=[PAUSED, SILENT], ended=[], now=[PAUSED, SILENT]))
        await mail.send(Changes(begun=[], ended=[SILENT], now=[PAUSED]))
    assert server.recipients == ["ops@example.org", "ada@example.org"] * 2
    begun, ended = (message_from_bytes(text, policy=default) for text in server.texts)
    assert (begun["Subject"], begun["From"]) == ("Queue mail is paused (and 1 more)", "jobs@example.org")
    assert "- Queue mail is paused: 3 jobs waiting · paused by Zoë" in begun.get_content()
    assert ended["Subject"] == "Over: Server a is not responding"


@pytest.mark.parametrize("refused", ["MAIL", "RCPT"])
async def test_a_rejected_email_is_not_counted_as_sent(refused: str) -> None:
    async with listening(MailServer(refused).serve) as place:
        with pytest.raises(NotSent, match="the mail was not sent"):
            await Mail(f"smtp://{place}", None, ["ops@example.org"]).send(EXAMPLE)


@pytest.mark.parametrize("status", [204, 500])
async def test_a_webhook_receives_what_changed(status: int) -> None:
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if b"content-length" in line)
        bodies.append(await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with listening(serve) as place:
        telling = Webhook(f"http://{place}/hook").send(Changes(begun=[PAUSED], ended=[], now=[PAUSED]))
        if status == 204:
            await telling
        else:
            with pytest.raises(NotSent, match="500"):
                await telling
    assert json.loads(bodies[0]) == {"begun": [PAUSED], "ended": [], "attention": [PAUSED]}


@pytest.mark.parametrize("server", ["", "mail.example.org", "http://mail.example.org", "smtp://"])
def test_a_mail_server_is_a_url(server: str) -> None:
    with pytest.raises(ValueError, match=r"--smtp must be a URL such as"):
        Mail(server, None, ["ops@example.org"])


@pytest.mark.parametrize("url", ["", "hooks.example.org", "ftp://hooks.example.org", "https://"])
def test_a_webhook_is_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https URL"):
        Webhook(url)

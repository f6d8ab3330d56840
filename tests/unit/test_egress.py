"""Requests to addresses that users name never reach a private network, whatever their names resolve to."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bulkport.egress import Egress, EgressFailed, EgressPolicy, EgressRefused, EgressUntrusted
from bulkport.imports.worker.threads import off_loop


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Answers of the name service, one after the other; the last one stays."""
    answers: list[Sequence[str]] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


async def test_a_name_server_that_does_not_answer_blocks_no_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        is_over.wait(60)
        raise OSError("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    egress = Egress(EgressPolicy())
    asked = [asyncio.ensure_future(egress.post("https://hooks.example/x", b"", {})) for _ in range(64)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
            assert await off_loop(1_000, threading.get_ident) != threading.get_ident()
        assert not any(request.done() for request in asked)
    finally:
        is_over.set()
        assert all(isinstance(error, EgressFailed) for error in await asyncio.gather(*asked, return_exceptions=True))


async def test_rows_do_not_wait_for_the_shared_threads_of_asyncio() -> None:
    is_over = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    waiting = asyncio.ensure_future(asyncio.to_thread(is_over.wait, 60))
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(30):
            assert await off_loop(1_000, threading.get_ident) != threading.get_ident()
        assert not waiting.done()
    finally:
        is_over.set()
        await waiting


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.1.2.3"], ["93.184.216.34", "192.168.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
async def test_no_connection_is_made_if_any_address_of_a_name_is_private(
    resolver: list[Sequence[str]], addresses: list[str]
) -> None:
    resolver.append(addresses)
    with pytest.raises(EgressRefused):
        await Egress(EgressPolicy()).post("https://hooks.example/x", b"", {})


async def test_the_checked_address_is_the_one_connected_to(resolver: list[Sequence[str]]) -> None:
    # The first look-up is the only one: a name that turns to loopback afterwards is not looked up again.
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        resolver += [["127.0.0.2"], ["127.0.0.1"]]
        policy = EgressPolicy.of(["127.0.0.2/32"], allow_http=True)
        with pytest.raises(EgressFailed):
            await Egress(policy, seconds=2).post(f"http://hooks.example:{port}/x", b"", {})
        assert len(resolver) == 1
        with pytest.raises(EgressRefused):
            await Egress(policy, seconds=2).post(f"http://hooks.example:{port}/x", b"", {})


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_a_wrapped_private_address_is_a_private_address(address: ipaddress.IPv4Address) -> None:
    wrapped = [
        ipaddress.IPv6Address(f"::ffff:{address}"),
        ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | int(address)),
        ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80)),
    ]
    assert not any(EgressPolicy().allows(one) for one in (address, *wrapped))
    allowing = EgressPolicy.of([f"{address}/32"])
    assert all(allowing.allows(one) for one in (address, *wrapped))


@pytest.mark.parametrize(
    "address", ["168.63.129.16", "169.254.169.254", "192.0.0.192", "fec0::1", "3fff::1", "::7f00:1"]
)
def test_addresses_of_single_networks_are_not_public(address: str) -> None:
    assert not EgressPolicy().allows(ipaddress.ip_address(address))
    assert EgressPolicy.of([address]).allows(ipaddress.ip_address(address))


async def test_a_receiver_that_never_answers_times_out() -> None:
    waiting = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        egress = Egress(EgressPolicy.of(["127.0.0.0/8"], allow_http=True), seconds=0.2)
        with pytest.raises(EgressFailed):
            await egress.post(f"http://127.0.0.1:{port}/", b"", {})
        waiting.set()


async def test_a_certificate_error_is_distinguished(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(EgressUntrusted, match="TLS certificate is not valid: self-signed certificate"):
            async with Egress(EgressPolicy.of(["127.0.0.0/8"]), seconds=60).get(f"https://127.0.0.1:{port}/x", {}):
                pass


async def test_each_redirect_is_checked_again(resolver: list[Sequence[str]]) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 X\r\nlocation: http://inside.example/x\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        resolver += [["127.0.0.1"], ["192.168.0.1"]]
        policy = EgressPolicy.of(["127.0.0.1/32"], allow_http=True)
        with pytest.raises(EgressRefused, match=r"inside\.example is in a private network"):
            async with Egress(policy, seconds=60).get(f"http://outside.example:{port}/x", {}):
                pass


@pytest.mark.parametrize("network", ["10.0.0.0/33", "10.0.0.1/8", "example.org", "10.0.0.0/8,"])
def test_an_invalid_network_is_rejected(network: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        EgressPolicy.of([network])

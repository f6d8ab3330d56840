"""An OpenID Connect issuer over real HTTP whose responses and tokens a test can change."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

AUDIENCE = "https://commands.example/api"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"

PrivateKey = RSAKey | ECKey | OKPKey


def rsa_key(key_id: str | None = "first", **parameters: Any) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": key_id, **parameters} if key_id is not None else parameters)


class IssuerServer:
    """The issuer `url`; change `keys`, `discovery` and `answers` to change its responses."""

    def __init__(self, port: int, first_key: PrivateKey) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.keys: list[PrivateKey] = [first_key]
        self.discovery: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}{JWKS[1:]}"}
        self.answers: dict[str, tuple[int, bytes]] = {}
        """Status and body by path, instead of the real response."""
        self.before_answer: Callable[[], object] = lambda: None
        self.requests: list[str] = []

    def answer(self, path: str) -> tuple[int, bytes]:
        self.requests.append(path)
        self.before_answer()
        if path in self.answers:
            return self.answers[path]
        if path == DISCOVERY:
            return 200, json.dumps(self.discovery).encode()
        if path == JWKS:
            return 200, json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()
        return 404, b""

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good token, as Auth0 makes them; a change to None leaves the claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "sub": "auth0|ann",
            "aud": [AUDIENCE, f"{self.url}userinfo"],
            "iat": now,
            "exp": now + 3600,
            "azp": "client",
            "scope": "openid profile",
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(
        self,
        *,
        key: Any = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A token with some claims changed, signed with the issuer's first key or with `key`."""
        key = key or self.keys[0]
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
        full = {"alg": algorithm, "kid": key.kid, **(header or {})}
        full = {name: value for name, value in full.items() if value is not None}
        return jwt.encode(full, self.claims(**changes), key, algorithms=[full["alg"]])


@contextmanager
def serve_issuer(first_key: PrivateKey) -> Iterator[IssuerServer]:
    """An issuer on a free port, for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = IssuerServer(server.server_address[1], first_key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

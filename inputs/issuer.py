"""An OpenID Connect issuer over HTTP, with one key and one user."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from joserfc import jwt
from joserfc.jwk import RSAKey

AUDIENCE: Final = "https://inputs.example/api"


@contextmanager
def open_issuer(user: str) -> Iterator[tuple[str, str]]:
    """An issuer's address and a token of `user`, good for a day."""
    key = RSAKey.generate_key(2048, {"kid": "only"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    answers = {
        "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}keys"},
        "/keys": {"keys": [key.as_dict(private=False)]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    now = int(time.time())
    claims = {"iss": url, "sub": user, "aud": AUDIENCE, "iat": now, "exp": now + 86_400}
    try:
        yield url, jwt.encode({"alg": "RS256", "kid": "only"}, claims, key)
    finally:
        server.shutdown()
        server.server_close()

"""oidc-provider-mock, a whole OpenID Connect provider, in a process of its own."""

import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx


@dataclass
class Provider:
    """A running oidc-provider-mock."""

    url: str

    def sign_in(self, user: str, client_id: str) -> str:
        """Go through the authorization code flow as `user` would, and return the ID token."""
        redirect = "http://app.example/signed-in"
        with httpx.Client(base_url=self.url, trust_env=False) as browser:
            answer = browser.post(
                "/oauth2/authorize",
                params={
                    "client_id": client_id,
                    "redirect_uri": redirect,
                    "response_type": "code",
                    "scope": "openid email",
                },
                data={"sub": user},
            )
            code = httpx.URL(answer.headers["location"]).params["code"]
            answer = browser.post(
                "/oauth2/token",
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": redirect,
                    "client_id": client_id,
                    "client_secret": "any",
                },
            )
            token: str = answer.json()["id_token"]
            return token


@contextmanager
def run_provider(port: int = 0) -> Iterator[Provider]:
    """Run oidc-provider-mock in a process of its own, which makes itself a new signing key."""
    command = [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: queue.Queue[str] = queue.Queue()
    stderr = process.stderr

    def read() -> None:
        for line in stderr:
            lines.put(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        url = None
        while url is None:
            url = re.search(r"running on (http://127\.0\.0\.1:\d+)", lines.get(timeout=60))
        yield Provider(url[1])
    finally:
        process.terminate()
        process.wait(60)
        reader.join(60)
        stderr.close()

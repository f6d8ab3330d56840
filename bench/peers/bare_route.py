"""A FastAPI route with nothing around it: it checks a key and stores the body in one INSERT.

`python -m bench.peers.bare_route URL` serves it and prints its port.
"""

import hashlib
import hmac
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import psycopg
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request
from psycopg_pool import AsyncConnectionPool

TABLES = """
CREATE SCHEMA IF NOT EXISTS peer;
CREATE TABLE IF NOT EXISTS peer.keys (id text PRIMARY KEY, user_id text NOT NULL, hash bytea NOT NULL);
CREATE TABLE IF NOT EXISTS peer.bodies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text NOT NULL, body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""
KEY = "00000000-0000-4000-8000-000000000000" + "s" * 43


def make_app(url: str) -> FastAPI:
    """The application."""
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
        url, min_size=2, max_size=10, kwargs={"autocommit": True}, open=False
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool, pool.connection() as connection:
            await connection.execute(TABLES)
            await connection.execute(
                "INSERT INTO peer.keys VALUES (%s, 'bench', %s) ON CONFLICT DO NOTHING",
                (KEY[:36], hashlib.sha256(KEY[36:].encode()).digest()),
            )
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/bulk", status_code=202)
    async def store(request: Request, x_api_key: Annotated[str, Header()]) -> dict[str, int]:
        body = await request.body()
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT user_id, hash FROM peer.keys WHERE id = %s", (x_api_key[:36],))
            key = await cursor.fetchone()
            if key is None or not hmac.compare_digest(key[1], hashlib.sha256(x_api_key[36:].encode()).digest()):
                raise HTTPException(401)
            cursor = await connection.execute(
                "INSERT INTO peer.bodies (user_id, body) VALUES (%s, %s) RETURNING id", (key[0], body)
            )
            row = await cursor.fetchone()
            assert row is not None
            return {"id": row[0]}

    return app


def main(url: str) -> None:
    """Serve until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(make_app(url), log_level="warning", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])

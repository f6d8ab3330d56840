"""The overhead of the load generator itself, against a server that only responds."""

import socket
import threading
import time

from bench.connection import Connection, Server
from bench.measures.run import Run
from bench.samples import spread

REQUESTS = 500
_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


def load_generator(run: Run) -> None:
    """Time a body into nowhere, and requests of 1,000 rows that are answered at once."""
    body = run.dataset.platforms_ndjson(run.scale.rows)
    envelope = run.dataset.envelopes(1, 1000)[0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answer_everything, args=(listener,), name="sink", daemon=True).start()
        with Connection(Server("127.0.0.1", listener.getsockname()[1], "key")) as connection:
            cpu = time.process_time()
            sent = connection.send_file("/", body.path, body.content_type).seconds
            cpu = time.process_time() - cpu
            request = connection.prepare("POST", "/", envelope)
            answered = [connection.exchange(request).seconds * 1000 for _ in range(REQUESTS)]
    run.results.details["load-generator"] = {
        "body_bytes": body.path.stat().st_size,
        "body_sent_seconds": round(sent, 4),
        "body_cpu_seconds_with_sink": round(cpu, 4),
        "request_answered_ms": spread(answered, digits=3),
    }


def _answer_everything(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        buffer = bytearray(2**20)
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65_536)
                if not data:
                    return
                pending += data
            head, _, rest = pending.partition(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            left = length - len(rest)
            while left > 0:
                left -= connection.recv_into(buffer, min(left, len(buffer)))
            pending = b""
            connection.sendall(_ANSWER)

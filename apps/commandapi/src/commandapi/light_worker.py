"""`python -m commandapi.light_worker`: the worker process that `serve` starts for all but heavy tasks.

The processes that import many rows keep both their interpreter and the processors busy. Whoever sends a few rows does
not wait for them: this process is free, and as urgent as the server itself.
"""

from commandapi.worker_process import run_beside_server

if __name__ == "__main__":
    run_beside_server(heavy=False)

"""Pictures of the dashboard for the documents, of a server whose workers run real jobs: `make screenshots`.

- `shop.py`: the tasks, and who enqueues jobs of them.
- `clients.py`: who imports what through the API.
- `operating.py`: who requeues, pauses and so on.
- `history.py`: the hours before, of which there are counts only.
- `server.py`: a database, the Command API, and workers.
- `pictures.py`: which pages, and how they are taken.
"""

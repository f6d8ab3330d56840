"""The documentation as a site, made by `make docs` with Material for MkDocs.

- `assemble.py`: the pages, with links that leave `docs/` leading to the repository.
- `reference.py`: the Python reference, from signatures and docstrings.
- `links.py`: every link and anchor of the built site leads somewhere.
"""

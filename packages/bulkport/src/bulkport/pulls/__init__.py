"""Pulling the body of an import from where the client says it is: an address of the web, or a store of the operator's.

A request names a source, its import is accepted at once, and the import's own background job fetches the body before it
processes it. What a source is: `source`. How one is opened: `web` and `stores`. What a worker does with one: `puller`.
Sources that are looked at again and again: `recurring`.
"""

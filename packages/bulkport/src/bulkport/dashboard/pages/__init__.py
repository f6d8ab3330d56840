"""The pages: one module a page, or a few that belong together.

Each makes a `Component` from what it is given; an application combines the ones it needs. Pages build on `core` and on
nothing else of the dashboard.
"""

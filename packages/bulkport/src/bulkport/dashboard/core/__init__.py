"""What every page builds on: pages, actions, rendering, live updates and security.

Nothing here knows of jobs or imports.
"""

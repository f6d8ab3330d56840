"""Platforms: the tools that commands belong to, such as Docker or Git."""

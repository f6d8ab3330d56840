"""Checks what a resource declares against its table."""

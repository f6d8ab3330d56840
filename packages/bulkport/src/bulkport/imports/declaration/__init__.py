"""What a resource declares, and whether it fits its table."""

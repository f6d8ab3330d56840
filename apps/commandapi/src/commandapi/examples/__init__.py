"""Example data for a first look: platforms as CSV, commands as NDJSON."""

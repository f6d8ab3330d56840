"""The body of an import as it comes in: its parts, its text, its records, and how they are to be read."""

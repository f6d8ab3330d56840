"""The body of an import as it arrives: its parts, text and records, and the options to read them."""

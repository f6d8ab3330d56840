"""The Command API: a catalogue of platforms and commands for many users, imported in bulk through Bulkport."""

"""Files that are no text, written by a process of its own: `python -m bulkport.imports.exports.writers.process`."""

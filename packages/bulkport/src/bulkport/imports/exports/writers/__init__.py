"""Writers of binary files, run in a process of their own: `python -m bulkport.imports.exports.writers.process`."""

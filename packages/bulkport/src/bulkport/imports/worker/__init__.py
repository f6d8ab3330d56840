"""How workers share and carry out the chunks of an import; `process` begins it."""

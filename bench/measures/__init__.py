"""The measures, one module for each group of rows; `run` is what they share."""

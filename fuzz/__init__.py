"""Feeds arbitrary bytes to the readers to find inputs that break them.

`make fuzz SECONDS=600` (`python -m fuzz`) runs each target for its share of the time. A target is a property of
Hypothesis: it makes a body, reads it with Bulkport and with Python's own reader, and compares. Where Google's atheris
is installed (`pip install atheris`) it drives the same properties by the coverage of `bulkport.imports`; elsewhere
chance does.

    targets   the properties, and those of the unit tests
    run       the time, shared among them
"""

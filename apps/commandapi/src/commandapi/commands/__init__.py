"""Commands: how to do a thing, the command line that does it, and the platform it belongs to."""

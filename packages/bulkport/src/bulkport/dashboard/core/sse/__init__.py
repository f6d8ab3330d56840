"""Live updates: one poller per server process, and a stream of changed fragments to each viewer."""

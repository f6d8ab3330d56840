"""What keeps open pages up to date: one poller a server process, and a stream of changed fragments to each viewer."""

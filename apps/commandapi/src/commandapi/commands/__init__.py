"""Commands: a task, the command line that performs it, and its platform."""

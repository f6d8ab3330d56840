"""`python -m commandapi` is the command `commandapi`."""

from commandapi.cli import main

if __name__ == "__main__":
    main()

"""A recorded terminal session for the documents, of real commands against a real server: `make recording`.

- `session.py`: the commands, run one after the other, and what they print when.
- `cast.py`: the session as an asciicast, for players.
- `drawing.py`: the session as a picture that moves, for pages.
"""

"""Sends requests made up from the API's own description, valid and invalid ones, alone and in sequences.

`make inputs` (`python -m inputs`) starts PostgreSQL, the API, a worker and an OpenID Connect issuer, and has
Schemathesis send requests to every operation: those that coverage asks for, random ones, and sequences along links. No
answer may be a 5xx, or one that the description does not tell of; valid requests are accepted and invalid ones refused.

    hooks    what the description cannot say: refusals that depend on what is stored, bodies of binary types
    issuer   the sign-in service, and a token of it
    run      rounds of Schemathesis until enough requests were sent
"""

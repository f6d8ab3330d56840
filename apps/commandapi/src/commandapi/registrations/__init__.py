"""Registrations: a user who is signed in at the OpenID Connect issuer makes, lists and revokes their own API keys.

The issuer is any, named by `COMMANDAPI_OIDC_ISSUER`: its signing keys are found through its discovery document
(`issuer`), a request's Bearer token is checked against them (`tokens`), and the token's `sub` becomes the user id.
"""

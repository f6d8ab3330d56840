"""Errors of sign-in."""

from collections.abc import Mapping

from bulkport.errors import AuthenticationRequired, ServiceUnavailable


class TokenRequired(AuthenticationRequired):
    """A Bearer token of the sign-in service is required in the Authorization header."""

    def headers(self) -> Mapping[str, str]:
        # Without a token there is no error code (RFC 6750 §3.1).
        return {"WWW-Authenticate": 'Bearer realm="api"'}


class InvalidToken(TokenRequired):
    """The token is not valid.

    The detail also goes into a header as `error_description`: it must be printable ASCII without `"` and `\\`
    (RFC 6750 §3), so it never quotes the token.
    """

    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": f'Bearer realm="api", error="invalid_token", error_description="{self.detail}"'}


class IssuerUnavailable(ServiceUnavailable):
    """The sign-in service cannot be asked for its signing keys at the moment; try again shortly."""

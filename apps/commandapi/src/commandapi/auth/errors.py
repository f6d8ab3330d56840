"""Errors of authentication by API key."""

from collections.abc import Mapping

from bulkport import errors


class AuthenticationRequired(errors.AuthenticationRequired):
    """A valid API key is required in the x-api-key header."""

    def headers(self) -> Mapping[str, str]:
        """The challenge (RFC 9110 §11.6.1)."""
        return {"WWW-Authenticate": 'ApiKey realm="api", header="x-api-key"'}

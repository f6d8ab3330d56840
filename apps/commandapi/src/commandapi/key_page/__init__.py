"""The page where a signed-in user makes, names, rotates and revokes their own API keys.

It is a small dashboard of its own: the same look, sign-in, forms and audit, and it works without script.
"""

from commandapi.key_page.page import KeyPage, key_page

__all__ = ["KeyPage", "key_page"]

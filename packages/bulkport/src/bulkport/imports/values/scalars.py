"""Booleans, identifiers, bytes and network addresses from text."""

import ipaddress
import re
from typing import Final
from uuid import UUID

from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.numbers import NULL_WORDS
from bulkport.imports.values.options import PLAIN, ValueOptions

_UUID: Final = re.compile(
    r"(?:urn:uuid:)?(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})"
    r"|\{[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}"
)
_HEX: Final = re.compile(r"\\x(?:[0-9a-fA-F]{2})*")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:-]?)[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}(?:(?:\1[0-9a-fA-F]{2}){2})?")
_BITS: Final = re.compile(r"[01]*")

BOOLEAN: Final = "must be true or false, not {value}"
UUID_MESSAGE: Final = "{value} is not a UUID; write it as in 123e4567-e89b-12d3-a456-426614174000"
BYTES: Final = "{value} is not bytes; write \\x and two hexadecimal digits a byte"
ADDRESS: Final = "{value} is not an IP address; write it as in 192.0.2.1 or 2001:db8::1, with /24 for a network"
MAC: Final = "{value} is not a MAC address; write it as in 08:00:2b:01:02:03"
BITS: Final = "{value} is not a string of bits; write 0 and 1 alone"


def read_boolean(text: str, options: ValueOptions = PLAIN) -> bool:
    """True or false by its word."""
    value = options.booleans.get(text.strip().casefold())
    if value is None:
        own = options.true_words or options.false_words
        hint = f"; the words of this import are {', '.join(options.booleans)}" if own else _other_word(text)
        raise ValueFault(BOOLEAN + hint, text)
    return value


def _other_word(text: str) -> str:
    """What to do about a word that may mean true or false, or nothing, in the file's language."""
    word = text.strip()
    if word.casefold() in NULL_WORDS:
        return f"; if it means null, set nullWords={word}"
    return "; set trueWords and falseWords for words of your own" if word.isalpha() else ""


def read_uuid(text: str) -> UUID:
    """A UUID with or without its hyphens (RFC 9562 §4)."""
    plain = text.strip()
    if not _UUID.fullmatch(plain):
        raise ValueFault(UUID_MESSAGE, text)
    return UUID(plain)


def read_bytes(text: str) -> bytes:
    """Bytes in PostgreSQL's hexadecimal form (manual, 8.4.1)."""
    plain = text.strip()
    if not _HEX.fullmatch(plain):
        raise ValueFault(BYTES, text)
    return bytes.fromhex(plain[2:])


def read_inet(text: str) -> str:
    """A host's address, perhaps with its network."""
    try:
        return str(ipaddress.ip_interface(_address(text))) if "/" in text else str(ipaddress.ip_address(_address(text)))
    except ValueError:
        raise ValueFault(ADDRESS, text) from None


def read_cidr(text: str) -> str:
    """A network's address, with no bits to the right of its mask."""
    try:
        return str(ipaddress.ip_network(_address(text), strict=True))
    except ValueError as error:
        hint = ADDRESS
        if "host bits" in str(error):
            hint = "{value} has bits to the right of its mask; write the network's address"
        raise ValueFault(hint, text) from None


def read_mac(text: str) -> str:
    """A MAC address of 6 or 8 bytes."""
    plain = text.strip()
    if not _MAC.fullmatch(plain):
        raise ValueFault(MAC, text)
    return plain


def read_bits(text: str) -> str:
    """A string of bits."""
    plain = text.strip()
    if not _BITS.fullmatch(plain):
        raise ValueFault(BITS, text)
    return plain


def _address(text: str) -> str:
    plain = text.strip()
    if "%" in plain or plain.isdigit():
        raise ValueError(plain)
    return plain

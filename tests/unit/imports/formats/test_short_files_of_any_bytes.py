"""No few bytes are too odd for the guess of their charset."""

import random

from bulkport.imports.formats.charset_detection import detect_charset


def test_any_few_bytes_have_a_charset_or_none() -> None:
    detect_charset(b"\xc5\xbb\xff\xae\x001")
    chance = random.Random(7)
    for length in range(1, 8):
        for _ in range(500):
            detect_charset(
                bytes(chance.choices((0x31, 0x80, 0xA0, 0xAE, 0xBB, 0xC5, 0xE0, 0xFD, 0xFE, 0xFF), k=length))
            )

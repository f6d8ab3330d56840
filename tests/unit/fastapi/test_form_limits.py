"""A form's parts and their headers are as many and as long as those of real forms, not more."""

from collections.abc import AsyncIterator

import pytest

from bulkport.errors import BadRequest
from bulkport.fastapi.form_body import FormBody

_FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na\r\n'
_NO_FILE = b'--b\r\nContent-Disposition: form-data; name="a"; filename=""\r\n\r\n\r\n'
_FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
_HEADERS = b"--b\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 4000) for number in range(6)) + b"\r\nx\r\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(_NO_FILE * 201 + _FILE, id="inputs"),
        pytest.param(_FIELD * 101 + _FILE, id="fields"),
        pytest.param(_HEADERS + _FILE, id="headers"),
        pytest.param(_FILE + _NO_FILE * 200, id="inputs after"),
        pytest.param(_FILE + _FIELD * 200, id="fields after"),
        pytest.param(_FILE + _HEADERS, id="headers after"),
    ],
)
async def test_a_form_with_too_many_parts_or_headers_is_rejected(body: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    form = FormBody(pieces(), b"b")

    async def read() -> None:
        await form.open()
        async for _ in form:
            pass

    with pytest.raises(BadRequest, match=r"The form has more than|The headers of a part"):
        await read()

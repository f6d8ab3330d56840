"""Names in a form are UTF-8 (RFC 7578 §5.1), in whatever script."""

from collections.abc import AsyncIterator

import pytest

from bulkport.fastapi.form_body import FormBody


@pytest.mark.parametrize("name", ["rows.csv", "Größe.csv", "商品.csv", "📦 новый.csv"])
async def test_files_and_fields_can_have_names_in_any_script(name: str) -> None:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n1\r\n'
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\na\r\n--b--\r\n'
    ).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    form = FormBody(pieces(), b"b")
    await form.open()
    assert form.file_name == name
    assert form.fields == [(name, "1")]
    assert b"".join([part async for part in form]) == b"a"

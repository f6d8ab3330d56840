"""Where an import's body is, as a request names it and as the import keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from bulkport.errors import UnsupportedMediaType, ValidationFailed
from bulkport.imports.formats import media_type_of_part, parse_media_type
from bulkport.imports.formats.file_names import media_type_of_name

_MEMBERS: Final = ("url", "store", "path", "contentType", "contentEncoding")
_ENCODINGS: Final = ("gzip", "zstd", "identity")
_MAX_PATH: Final = 1024
_MAX_SHOWN: Final = 300
_WHAT: Final = 'source must be an object such as {"url": "https://example.org/rows.csv"} or {"store": "…", "path": "…"}'


@dataclass(frozen=True, slots=True)
class Source:
    """An address of the web, or the path of an object in a store that the operator has named."""

    url: str | None = None
    store: str | None = None
    path: str | None = None
    content_type: str | None = None
    """What the body is, where neither its server nor its name says it right."""
    content_encoding: str | None = None
    """How the body is compressed, likewise."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """A source from a request's JSON. The code that opens it checks whether it may be read.

        Raises
        ------
        ValidationFailed
            It is none.
        """
        if not isinstance(value, Mapping):
            raise ValidationFailed({"source": [_WHAT]})
        errors: dict[str, list[str]] = {}
        for name, given in value.items():
            if name not in _MEMBERS:
                errors[f"source.{name}"] = [
                    f"source.{name} is unknown; credentials are the server's, by the name of a store"
                ]
            elif not isinstance(given, str) or not given or "\0" in given:
                errors[f"source.{name}"] = [f"source.{name} must be a text"]
        if not errors:
            errors = cls._problems(value)
        if errors:
            raise ValidationFailed(errors)
        return cls.from_json(value)

    @staticmethod
    def _problems(value: Mapping[str, str]) -> dict[str, list[str]]:
        has_url, has_store, has_path = ("url" in value), ("store" in value), ("path" in value)
        if has_url == (has_store or has_path) or has_store != has_path:
            return {"source": [_WHAT]}
        errors: dict[str, list[str]] = {}
        if has_path and (problem := _path_problem(value["path"])):
            errors["source.path"] = [f"source.path {problem}"]
        if "contentType" in value:
            try:
                parse_media_type(value["contentType"])
            except UnsupportedMediaType as error:
                errors["source.contentType"] = [error.detail]
        if value.get("contentEncoding", "gzip") not in _ENCODINGS:
            errors["source.contentEncoding"] = [f"source.contentEncoding must be {' or '.join(_ENCODINGS)}"]
        return errors

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """The source that `to_json` wrote."""
        names = ("url", "store", "path", "contentType", "contentEncoding")
        return cls(*(members.get(name) for name in names))

    def to_json(self) -> dict[str, str]:
        """As it is stored with an import until its body is here."""
        values = (self.url, self.store, self.path, self.content_type, self.content_encoding)
        return {name: value for name, value in zip(_MEMBERS, values, strict=True) if value is not None}

    @property
    def shown(self) -> dict[str, str]:
        """The displayed source, without the query of its URL, which may contain a signature or a token."""
        return self.to_json() | ({} if self.url is None else {"url": shown_url(self.url)})

    @property
    def title(self) -> str:
        """What messages call it."""
        text = shown_url(self.url) if self.url is not None else f"{self.store}/{self.path}"
        return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class FileKind:
    """The declared format of a body: by its source, its server or its name, in this order."""

    content_type: str
    content_encoding: str | None
    file_name: str | None


def kind_of_file(source: Source, name: str, content_type: str | None, content_encoding: str | None) -> FileKind:
    """What a body is.

    Parameters
    ----------
    name:
        What the file is called.
    content_type, content_encoding:
        What its server says.

    Raises
    ------
    UnsupportedMediaType
        Nobody says it, or it is nothing that is read.
    """
    by_name, encoding_by_name = media_type_of_name(name)
    encoding = source.content_encoding or content_encoding or encoding_by_name
    if source.content_type is not None:
        return FileKind(source.content_type, encoding, name or None)
    # The type of a compressed file is that of its compression, which its name says too.
    bare_name = name.rpartition(".")[0] if encoding_by_name else name
    said = None if encoding_by_name and not content_encoding else content_type
    media_type = media_type_of_part(said, bare_name)
    is_said = said is not None and _says(said)
    chosen = said if is_said else by_name or media_type.format.media_type
    if not is_said and media_type.charset is not None:
        chosen = f"{chosen}; charset={media_type.charset}"
    assert chosen is not None
    return FileKind(chosen, encoding, name or None)


def name_of_url(url: str) -> str:
    """The last part of an address's path."""
    return unquote(urlsplit(url).path.rpartition("/")[2])[:255].replace("\0", "")


def shown_url(url: str) -> str:
    """An address without its query and fragment."""
    bare, mark, _ = url.partition("?")
    return f"{bare}?…" if mark else bare.partition("#")[0]


def _says(content_type: str) -> bool:
    try:
        parse_media_type(content_type)
    except UnsupportedMediaType:
        return False
    return True


def _path_problem(path: str) -> str | None:
    if len(path) > _MAX_PATH:
        return f"must have at most {_MAX_PATH} characters"
    if not path.isprintable() or "\\" in path:
        return "must be a path such as 2026/07/rows.csv"
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        return "must not begin with / and must have no empty, . or .. parts"
    return None

"""Object stores and folders as settings name them."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from bulkport.pulls.stores import ObjectStore


def _text(value: Any) -> Any:
    """An option as obstore reads it: `true` and numbers as people write them in JSON, a key as the object it is."""
    return json.dumps(value) if isinstance(value, bool | int | dict) else value


class StoreSettings(BaseModel):
    """A store that imports are pulled from, or uploads are staged in; see `bulkport.ObjectStore`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1)
    options: dict[str, Annotated[SecretStr, BeforeValidator(_text)]] = {}
    users: list[str] | None = None

    def object_store(self) -> ObjectStore:
        """The store as Bulkport takes it."""
        options = {key: value.get_secret_value() for key, value in self.options.items()}
        return ObjectStore(self.url, options, None if self.users is None else tuple(self.users))

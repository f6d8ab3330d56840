"""Object stores and folders as settings name them."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bulkport.pulls.stores import ObjectStore


class StoreSettings(BaseModel):
    """A store that imports are pulled from, or uploads are staged in; see `bulkport.ObjectStore`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1)
    options: dict[str, SecretStr] = {}
    users: list[str] | None = None

    def object_store(self) -> ObjectStore:
        """The store as Bulkport takes it."""
        options = {key: value.get_secret_value() for key, value in self.options.items()}
        return ObjectStore(self.url, options, None if self.users is None else tuple(self.users))

"""Row models for modes that do not create: update (changed fields) and delete (keys)."""

from collections.abc import Collection, Sequence
from copy import copy
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo


def partial_model(model: type[BaseModel], key: Collection[str]) -> type[BaseModel]:
    """The model with every field but the key's optional: a row gives what it changes."""
    optional: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name not in key and info.is_required():
            changed = copy(info)
            changed.default = None  # no value; columns that a row does not have are not written
            optional[name] = (_annotation(info), changed)
    return create_model(model.__name__, __base__=model, **optional) if optional else model


def key_model(model: type[BaseModel], key: Sequence[str]) -> type[BaseModel]:
    """A model of the key's fields alone, all of them required."""
    fields: dict[str, Any] = {}
    for name in key:
        changed = copy(model.model_fields[name])
        if not changed.is_required():
            changed = FieldInfo(annotation=changed.annotation, alias=changed.alias)
            changed.validation_alias = model.model_fields[name].validation_alias
        fields[name] = (_annotation(model.model_fields[name]), changed)
    made: type[BaseModel] = create_model(f"{model.__name__}Key", __config__=model.model_config, **fields)
    return made


def _annotation(info: FieldInfo) -> Any:
    return info.annotation

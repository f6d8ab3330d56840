"""Which sources a request may name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bulkport.errors import ValidationFailed
from bulkport.identifiers import UserId
from bulkport.pulls.source import Source
from bulkport.pulls.stores import ObjectStore, require_store

if TYPE_CHECKING:
    from bulkport.egress import EgressPolicy


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """What the operator allows.

    Parameters
    ----------
    policy
        Which addresses may be asked; None: the web is not.
    stores
        Stores by the names that requests use.
    """

    policy: "EgressPolicy | None"
    stores: Mapping[str, ObjectStore] = field(default_factory=dict)

    def parse(self, value: object, user_id: UserId) -> Source:
        """The source that a request names.

        Raises
        ------
        ValidationFailed
            It is none, or one that this user may not name. What an address's name resolves to is checked when it is
            asked.
        """
        source = Source.parse(value)
        if source.url is None:
            require_store(self.stores, source, user_id)
        elif self.policy is None:
            raise ValidationFailed({"source.url": ["source.url: this server does not pull from the web"]})
        else:
            self.policy.check_url(source.url, "source.url")
        return source

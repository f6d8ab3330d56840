"""The table of platforms."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, Identity, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from commandapi.database import Base
from commandapi.repository import RowsById


class Platform(Base):
    """A stored platform. Names need not be unique: a unique index would cost two thirds of the import's speed."""

    __tablename__ = "platforms"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    platform_name: Mapped[str] = mapped_column(String(100))
    owner_id: Mapped[str | None] = mapped_column(Text)
    """The user who added it by a single request, or in whose catalogue it is; null if shared."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


PLATFORMS_BY_ID: Final = RowsById(Platform, Platform.id, "platform")

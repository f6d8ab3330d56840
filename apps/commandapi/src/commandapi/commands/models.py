"""The table of commands."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from commandapi.database import Base
from commandapi.platforms.models import Platform
from commandapi.repository import RowsById


class Command(Base):
    """A stored command. It goes when its platform goes."""

    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    how_to: Mapped[str] = mapped_column(String(250))
    command_line: Mapped[str] = mapped_column(Text)
    platform_id: Mapped[int] = mapped_column(BigInteger, ForeignKey(Platform.id, ondelete="CASCADE"), index=True)
    owner_id: Mapped[str | None] = mapped_column(Text)
    """The user who added it by a single request, or in whose catalogue it is; null if shared."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


COMMANDS_BY_ID: Final = RowsById(Command, Command.id, "command")

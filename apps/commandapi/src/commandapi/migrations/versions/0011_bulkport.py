"""Bulkport's tables."""

from alembic import op

from bulkport import migrations

revision = "0011"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    migrations.upgrade(op.get_bind(), to=3)


def downgrade() -> None:
    """Undo."""
    migrations.downgrade(op.get_bind())

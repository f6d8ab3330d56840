"""Import tables and the background engine."""

from bulkport import migrations as schema
from commandapi.migrations.scripts import run_script

revision = "0011"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    run_script(schema.upgrade_sql())


def downgrade() -> None:
    """Undo."""
    run_script(schema.downgrade_sql())

"""Running whole SQL scripts inside a migration."""

from alembic import op


def run_script(sql: str) -> None:
    """Run a script of several statements on the migration's connection.

    It goes to the driver without parameters, so that `%` stays itself and PostgreSQL takes the script as one
    simple query (PostgreSQL manual, 54.2.2.1).
    """
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the migration has no live connection")
    connection.execute(sql)

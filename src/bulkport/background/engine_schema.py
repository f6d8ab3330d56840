"""The engine's own tables, types and functions, taken from the installed Procrastinate."""

from procrastinate.schema import SchemaManager

# Procrastinate ships no way down. Everything it creates carries its name, and nothing else does.
_DROP = """
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT format('%I.%I', n.nspname, c.relname) AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname LIKE 'procrastinate\\_%'
    LOOP
        EXECUTE 'DROP TABLE ' || thing.name || ' CASCADE';
    END LOOP;
    FOR thing IN
        SELECT p.oid::regprocedure::text AS name
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = current_schema() AND p.proname LIKE 'procrastinate\\_%'
    LOOP
        EXECUTE 'DROP FUNCTION ' || thing.name || ' CASCADE';
    END LOOP;
    FOR thing IN
        SELECT format('%I.%I', n.nspname, t.typname) AS name
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname = current_schema() AND t.typname LIKE 'procrastinate\\_%'
          AND (t.typtype = 'e' OR (t.typtype = 'c' AND EXISTS (
              SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
    LOOP
        EXECUTE 'DROP TYPE ' || thing.name || ' CASCADE';
    END LOOP;
END
$$;
"""


def engine_schema_sql() -> str:
    """SQL script that creates the engine's schema."""
    return SchemaManager.get_schema()


def drop_engine_schema_sql() -> str:
    """SQL script that removes the engine's schema, with every background job."""
    return _DROP

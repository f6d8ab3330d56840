"""django-import-export with `use_bulk` and validation: the usual bulk import of the Django world.

Run as `python -m bench.peers.django_import URL FILE`; prints the seconds from opening the CSV file to the stored
rows. The options are its manual's for speed: bulk inserts, no diff report, no look-up of existing
rows; `created_at` is left to the database, since an expression for it costs a third of the time.
"""

import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import django  # type: ignore[import-untyped]  # ships no types
import tablib  # type: ignore[import-untyped]  # ships no types
from django.conf import settings  # type: ignore[import-untyped]  # ships no types


def database_settings(url: str) -> dict[str, object]:
    """Django's DATABASES entry for a PostgreSQL URL; a socket folder may be given as `?host=`."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": {"options": "-c search_path=peer"},
    }


def main() -> None:
    """Time one import."""
    settings.configure(
        DATABASES={"default": database_settings(sys.argv[1])},
        INSTALLED_APPS=["import_export"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        DEBUG=False,
    )
    django.setup()
    from django.db import connection, models  # type: ignore[import-untyped]  # needs the settings first
    from import_export import resources  # type: ignore[import-untyped]  # needs the settings first

    class Platform(models.Model):  # type: ignore[misc]  # an untyped base
        platform_name = models.CharField(max_length=100)

        class Meta:
            app_label = "bench"
            db_table = "platforms"
            managed = False

    class PlatformResource(resources.ModelResource):  # type: ignore[misc]  # an untyped base
        class Meta:
            model = Platform
            fields = ("platform_name",)
            import_id_fields = ()
            use_bulk = True
            batch_size = 1000
            clean_model_instances = True
            force_init_instance = True
            skip_diff = True
            skip_html_diff = True

    connection.ensure_connection()
    resource = PlatformResource()
    started = time.perf_counter()
    text = Path(sys.argv[2]).read_text(encoding="utf-8")
    dataset = tablib.Dataset().load(text, format="csv")
    dataset.headers = ["platform_name"]
    result = resource.import_data(dataset, raise_errors=True)
    seconds = time.perf_counter() - started
    if result.has_errors() or result.has_validation_errors():
        raise SystemExit("the peer refused good rows")
    print(seconds)


if __name__ == "__main__":
    main()

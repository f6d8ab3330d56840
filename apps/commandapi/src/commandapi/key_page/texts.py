"""The texts of the page in other languages: English, German, Spanish."""

# ruff: noqa: E501 # one text a line

from collections.abc import Mapping
from typing import Final

_TEXTS: Final = (
    ("API keys", "API-Schlüssel", "Claves de API"),
    ("API key", "API-Schlüssel", "Clave de API"),
    ("New key", "Neuer Schlüssel", "Clave nueva"),
    ("Your new key", "Ihr neuer Schlüssel", "Su clave nueva"),
    ("Copy it now: it is shown this once, and only a hash of it is stored. Send it in the header {header}.", "Kopieren Sie ihn jetzt: Er wird nur dieses eine Mal angezeigt, gespeichert wird nur ein Hash. Senden Sie ihn im Header {header}.", "Cópiela ahora: solo se muestra esta vez y solo se guarda su hash. Envíela en la cabecera {header}."),
    ("without a name", "ohne Namen", "sin nombre"),
    ("May", "Darf", "Puede"),
    ("Made", "Erstellt", "Creada"),
    ("Last used", "Zuletzt benutzt", "Último uso"),
    ("Expires", "Läuft ab", "Caduca"),
    ("live", "gültig", "válida"),
    ("revoked", "widerrufen", "revocada"),
    ("expired", "abgelaufen", "caducada"),
    ("Rotate", "Ersetzen", "Rotar"),
    ("Make a key in its place; both work for a while", "Einen Schlüssel an seiner Stelle erstellen; eine Zeit lang gelten beide", "Crear otra clave en su lugar; ambas valen durante un tiempo"),
    ("Revoke", "Widerrufen", "Revocar"),
    ("Revoke key", "Schlüssel widerrufen", "Revocar la clave"),
    ("Revoke this key? Whoever uses it is refused from then on.", "Diesen Schlüssel widerrufen? Wer ihn benutzt, wird von da an abgewiesen.", "¿Revocar esta clave? Quien la use será rechazado desde entonces."),
    ("The key is revoked.", "Der Schlüssel ist widerrufen.", "La clave está revocada."),
    ("You have no key {id}.", "Sie haben keinen Schlüssel {id}.", "No tiene ninguna clave {id}."),
    ("You have no live key {id}.", "Sie haben keinen gültigen Schlüssel {id}.", "No tiene ninguna clave válida {id}."),
    ("No keys yet", "Noch keine Schlüssel", "Aún no hay claves"),
    ("Make one below.", "Erstellen Sie unten einen.", "Cree una abajo."),
    ("Make a key", "Schlüssel erstellen", "Crear una clave"),
    ("Make key", "Schlüssel erstellen", "Crear la clave"),
    ("laptop", "Laptop", "portátil"),
    ("It may", "Er darf", "Puede"),
    ("read the catalogue, and follow your imports", "den Katalog lesen und Ihre Importe verfolgen", "leer el catálogo y seguir sus importaciones"),
    ("add and change single records", "einzelne Datensätze anlegen und ändern", "añadir y cambiar registros sueltos"),
    ("import in bulk, and manage uploads and webhooks", "in Mengen importieren, Uploads und Webhooks verwalten", "importar en bloque y gestionar subidas y webhooks"),
    ("Days until it expires", "Tage, bis er abläuft", "Días hasta que caduque"),
    ("You may have {most} live keys.", "Sie dürfen {most} gültige Schlüssel haben.", "Puede tener {most} claves válidas."),
    ("Choose what the key may do.", "Wählen Sie, was der Schlüssel darf.", "Elija qué puede hacer la clave."),
    ("A key lives for 1 to {days} days, or until it is revoked.", "Ein Schlüssel gilt 1 bis {days} Tage, oder bis er widerrufen wird.", "Una clave vale de 1 a {days} días, o hasta que se revoque."),
    ("You have reached the limit of active API keys; revoke one first.", "Sie haben so viele gültige API-Schlüssel, wie ein Benutzer haben darf; widerrufen Sie zuerst einen.", "Tiene tantas claves válidas como puede tener un usuario; revoque antes una."),
)  # fmt: skip

GERMAN: Final[Mapping[str, str]] = {english: german for english, german, _ in _TEXTS}
SPANISH: Final[Mapping[str, str]] = {english: spanish for english, _, spanish in _TEXTS}

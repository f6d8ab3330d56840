"""The texts of the page in other languages: English, German, Spanish."""

# ruff: noqa: E501 # one text a line

from collections.abc import Mapping
from typing import Final

_TEXTS: Final = (
    ("API keys", "API-Schlüssel", "Claves de API"),
    ("API key", "API-Schlüssel", "Clave de API"),
    ("New key", "Neuer Schlüssel", "Clave nueva"),
    ("Your new key", "Ihr neuer Schlüssel", "Tu nueva clave"),
    ("Copy it now: it is shown only once, and only a hash of it is stored. Send it in the header {header}.", "Kopieren Sie ihn jetzt: Er wird nur dieses eine Mal angezeigt, gespeichert wird nur ein Hash. Senden Sie ihn im Header {header}.", "Cópiala ahora: solo se muestra esta vez y solo se guarda su hash. Envíala en la cabecera {header}."),
    ("without a name", "ohne Namen", "sin nombre"),
    ("May", "Darf", "Puede"),
    ("Made", "Erstellt", "Creada"),
    ("Last used", "Zuletzt benutzt", "Último uso"),
    ("Expires", "Läuft ab", "Caduca"),
    ("live", "gültig", "válida"),
    ("revoked", "widerrufen", "revocada"),
    ("expired", "abgelaufen", "caducada"),
    ("Rotate", "Ersetzen", "Rotar"),
    ("Replace this key; both work for a while", "Einen Schlüssel an seiner Stelle erstellen; eine Zeit lang gelten beide", "Crear otra clave en su lugar; ambas valen durante un tiempo"),
    ("Revoke", "Widerrufen", "Revocar"),
    ("Revoke key", "Schlüssel widerrufen", "Revocar la clave"),
    ("Revoke this key? Programs that use it lose access at once.", "Diesen Schlüssel widerrufen? Programme, die ihn verwenden, verlieren sofort den Zugriff.", "¿Revocar esta clave? Los programas que la usan perderán el acceso de inmediato."),
    ("The key is revoked.", "Der Schlüssel ist widerrufen.", "La clave está revocada."),
    ("You have no key {id}.", "Sie haben keinen Schlüssel {id}.", "No tienes ninguna clave {id}."),
    ("You have no active key {id}.", "Sie haben keinen gültigen Schlüssel {id}.", "No tienes ninguna clave válida {id}."),
    ("No keys yet", "Noch keine Schlüssel", "Aún no hay claves"),
    ("Create one below.", "Erstellen Sie unten einen.", "Crea una abajo."),
    ("Create a key", "Schlüssel erstellen", "Crear una clave"),
    ("Create key", "Schlüssel erstellen", "Crear la clave"),
    ("laptop", "Laptop", "portátil"),
    ("It may", "Er darf", "Puede"),
    ("read the catalogue, and follow your imports", "den Katalog lesen und Ihre Importe verfolgen", "leer el catálogo y seguir sus importaciones"),
    ("add and change single records", "einzelne Datensätze anlegen und ändern", "añadir y cambiar registros sueltos"),
    ("import in bulk, and manage uploads and webhooks", "in Mengen importieren, Uploads und Webhooks verwalten", "importar en bloque y gestionar subidas y webhooks"),
    ("Days until it expires", "Tage, bis er abläuft", "Días hasta que caduque"),
    ("You may have {most} active keys.", "Sie dürfen {most} gültige Schlüssel haben.", "Puedes tener {most} claves válidas."),
    ("Choose what the key may do.", "Wählen Sie, was der Schlüssel darf.", "Elige qué puede hacer la clave."),
    ("A key is valid for 1 to {days} days, or until it is revoked.", "Ein Schlüssel gilt 1 bis {days} Tage, oder bis er widerrufen wird.", "Una clave vale de 1 a {days} días, o hasta que se revoque."),
    ("You have reached the limit of active API keys; revoke one first.", "Sie haben die Höchstzahl gültiger API-Schlüssel erreicht; widerrufen Sie zuerst einen.", "Has alcanzado el límite de claves válidas; revoca antes una."),
)  # fmt: skip

GERMAN: Final[Mapping[str, str]] = {english: german for english, german, _ in _TEXTS}
SPANISH: Final[Mapping[str, str]] = {english: spanish for english, _, spanish in _TEXTS}

"""Tag descriptions and operation summaries for the API description."""

from typing import Any, Final

TAGS: Final[list[dict[str, Any]]] = [
    {
        "name": "platforms",
        "description": "Platforms that commands run on, such as Docker: read, change, import in bulk, export.",
    },
    {"name": "commands", "description": "Command lines for a platform: read, change, import in bulk, export."},
    {"name": "imports", "description": "Imports of all resources: watch, cancel, undo, correct and retry."},
    {"name": "uploads", "description": "Resumable uploads of large files, in parts (tus 1.0)."},
    {"name": "pulls", "description": "Files that the server fetches itself, once or on a schedule."},
    {"name": "webhooks", "description": "Signed notifications when imports finish."},
    {"name": "registrations", "description": "API keys of a signed-in user."},
    {"name": "health", "description": "Liveness and readiness of the server."},
]

_SUMMARIES: Final = {
    "Platforms Import Status": "Get the status of a platforms import",
    "Commands Import Status": "Get the status of a commands import",
    "Platforms Schema": "Get the JSON Schema of a platform",
    "Commands Schema": "Get the JSON Schema of a command",
    "Platforms Template": "Download a CSV template for platforms",
    "Commands Template": "Download a CSV template for commands",
    "Platforms Template Workbook": "Download an Excel template for platforms",
    "Commands Template Workbook": "Download an Excel template for commands",
    "Cancel": "Cancel an import",
    "Undo": "Undo an import",
    "Get Import": "Get an import",
    "Retry Import": "Retry rejected rows",
    "Correct Rejected Row": "Correct a rejected row",
    "Follow Import": "Follow an import live (server-sent events)",
    "Get Import Errors": "Get the rejected rows of an import",
    "Get Import Results": "Get the outcome of each row",
    "Create Webhook": "Add a webhook",
    "Get Webhook": "Get a webhook",
    "Change Webhook": "Change a webhook",
    "Delete Webhook": "Delete a webhook",
    "Rotate Secret": "Rotate a webhook's secret",
    "Ping": "Send a test message to a webhook",
    "List Deliveries": "List the deliveries of a webhook",
    "Send Again": "Resend a delivery",
    "Describe": "Get the supported tus features",
    "Create Upload": "Create an upload",
    "Get Upload": "Get an upload's offset",
    "Append To Upload": "Append to an upload",
    "Delete Upload": "Delete an upload",
    "Pull Platforms Again And Again": "Pull platforms on a schedule",
    "Pull Commands Again And Again": "Pull commands on a schedule",
    "Get Pull": "Get a pull",
    "Change Pull": "Change a pull",
    "Delete Pull": "Delete a pull",
    "Look Now": "Run a pull now",
    "Create Platform": "Create a platform",
    "Get Platform": "Get a platform",
    "Replace Platform": "Replace a platform",
    "Delete Platform": "Delete a platform",
    "Create Command": "Create a command",
    "Get Command": "Get a command",
    "Replace Command": "Replace a command",
    "Delete Command": "Delete a command",
    "List Commands Of Platform": "List the commands of a platform",
    "Register Key": "Create an API key",
    "List Registrations": "List your API keys",
    "Rotate Key Of User": "Rotate an API key",
    "Get Registration": "Get an API key's registration",
    "Revoke Registration": "Revoke an API key",
    "Check Live": "Check liveness",
    "Check Ready": "Check readiness",
}
"""By the summary that FastAPI derives from the function's name."""


_IDS: Final = {
    "Cancel": "cancelImport",
    "Undo": "undoImport",
    "Rotate Secret": "rotateWebhookSecret",
    "Ping": "pingWebhook",
    "Send Again": "resendDelivery",
    "Describe": "describeUploads",
    "Look Now": "runPull",
    "Pull Platforms Again And Again": "createPlatformsPull",
    "Pull Commands Again And Again": "createCommandsPull",
    "Platforms Import Status": "getPlatformsImportStatus",
    "Commands Import Status": "getCommandsImportStatus",
    "Platforms Schema": "getPlatformsSchema",
    "Commands Schema": "getCommandsSchema",
    "Platforms Template": "getPlatformsTemplate",
    "Commands Template": "getCommandsTemplate",
    "Platforms Template Workbook": "getPlatformsTemplateWorkbook",
    "Commands Template Workbook": "getCommandsTemplateWorkbook",
    "Rotate Key Of User": "rotateKey",
}
"""Ids of operations, which generated clients name their functions by; else they are made of the function's name."""


def name_operations(description: dict[str, Any]) -> None:
    """Give the operations of an OpenAPI description summaries that people would write, and ids for generated code."""
    taken: set[str] = set()
    for path in description.get("paths", {}).values():
        for method, operation in path.items():
            summary = operation.get("summary", "") if isinstance(operation, dict) else ""
            if not summary:
                continue
            first, *rest = summary.split()
            name = _IDS.get(summary, first.lower() + "".join(rest))
            operation["operationId"] = name if name not in taken else f"{name}By{method.title()}"
            taken.add(name)
            operation["summary"] = _SUMMARIES.get(summary, summary.capitalize())

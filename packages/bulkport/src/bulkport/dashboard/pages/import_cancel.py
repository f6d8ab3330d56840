"""Cancelling an import."""

from typing import Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.language import t
from bulkport.identifiers import ImportId
from bulkport.imports.admin import OperatedImports
from bulkport.imports.cancel import CancelEffect

_WORDS: Final = {
    CancelEffect.CANCELLED: "Cancelled import #{number}. Rows already imported are kept.",
    CancelEffect.STOPPING: "Import #{number} stops once its running chunks are done.",
    CancelEffect.ALREADY_ENDED: "Import #{number} has already finished.",
    CancelEffect.UNKNOWN: "Import #{number} not found.",
}


def cancel_import_action(imports: OperatedImports) -> Action:
    """The action `imports/cancel`. Its form has the field `id`."""

    async def run(request: ActionRequest) -> Done:
        import_id = _meant(request)
        effect = await imports.cancel(import_id)
        is_good = effect in {CancelEffect.CANCELLED, CancelEffect.STOPPING}
        target = f"import {import_id}"
        return Done(t(_WORDS[effect], number=import_id), target=target, is_good=is_good)

    async def question(request: ActionRequest) -> str:
        return t("Cancel import #{number}? Rows already imported are kept.", number=_meant(request))

    return Action("imports/cancel", "Cancel import", run, question)


def _meant(request: ActionRequest) -> ImportId:
    chosen = request.form.numbers()
    if len(chosen) != 1:
        raise ActionRefused(t("No import selected."))
    return ImportId(chosen[0])

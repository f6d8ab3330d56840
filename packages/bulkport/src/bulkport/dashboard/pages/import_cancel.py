"""What operators do to imports: they cancel them."""

from typing import Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.identifiers import ImportId
from bulkport.imports.admin import OperatedImports
from bulkport.imports.cancel import CancelEffect

_WORDS: Final = {
    CancelEffect.CANCELLED: "cancelled; the rows it had written stay.",
    CancelEffect.STOPPING: "stops when the chunks in hand are finished.",
    CancelEffect.ALREADY_ENDED: "had already ended.",
    CancelEffect.UNKNOWN: "is not there.",
}


def cancel_import_action(imports: OperatedImports) -> Action:
    """The action `imports/cancel`. Its form has the field `id`."""

    async def run(request: ActionRequest) -> Done:
        import_id = _meant(request)
        effect = await imports.cancel(import_id)
        is_good = effect in {CancelEffect.CANCELLED, CancelEffect.STOPPING}
        return Done(f"Import {import_id}: {_WORDS[effect]}", target=f"import {import_id}", is_good=is_good)

    async def question(request: ActionRequest) -> str:
        return f"Cancel import {_meant(request)}? What it has written stays."

    return Action("imports/cancel", "Cancel import", run, question)


def _meant(request: ActionRequest) -> ImportId:
    chosen = request.form.numbers()
    if len(chosen) != 1:
        raise ActionRefused("No import was chosen.")
    return ImportId(chosen[0])

"""Endpoints for actions: forms of operators and commands of programs, confirmed, carried out once and audited."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bulkport.dashboard.core import csrf, flash
from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Audit, perform
from bulkport.dashboard.core.command import Command, command_form
from bulkport.dashboard.core.forms import way_back
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import CountsSource, PageNotFound
from bulkport.dashboard.core.responses import Responses
from bulkport.dashboard.core.security import NO_STORE, PAGE_HEADERS
from bulkport.dashboard.core.viewer import Viewer
from bulkport.dashboard.request_context import Refused, accepted_form, lead_to, page_request_of, problem, viewer_of


class ActionEndpoints:
    """The endpoints that perform actions.

    Parameters
    ----------
    actions:
        By name.
    counts:
        Reads the numbers in the navigation.
    """

    def __init__(self, actions: Mapping[str, Action], audit: Audit, responses: Responses, counts: CountsSource) -> None:
        self._actions = actions
        self._audit = audit
        self._responses = responses
        self._counts = counts

    def knows(self, command: Command) -> bool:
        """Whether the action of a command exists."""
        return command.action in self._actions

    async def act(self, request: Request) -> Response:
        """Perform the action of a form, after confirmation if the action requires it."""
        viewer = viewer_of(request)
        form = await accepted_form(request, viewer)
        action = self._actions.get(request.path_params["name"])
        if action is None:
            raise PageNotFound(t("Unknown action."))
        _require_right(viewer, action.name)
        asked = ActionRequest(viewer, form)
        page_request = page_request_of(request, viewer)
        if "confirmed" not in form and (question := await _question(action, asked)):
            fields = [(name, value) for name, value in form.fields() if name != csrf.FIELD]
            variables: dict[str, Any] = {
                "label": t(action.label),
                "question": question,
                "fields": fields,
                "back": way_back(form),
            }
            variables |= {"asks_for_note": action.asks_for_note}
            counts = await self._counts()
            return self._responses.page(
                request, viewer, "confirm.html", page_request, counts=counts, variables=variables
            )
        done, message = await perform(action, asked, self._audit)
        response = lead_to(page_request, done.lead_to if done.lead_to is not None else way_back(form))
        if message is not None:
            flash.give(response, request, message)
        return response

    async def run_command(self, command: Command, request: Request) -> Response:
        """Carry out a program's command."""
        viewer = viewer_of(request)
        _require_right(viewer, command.action)
        done, _ = await perform(
            self._actions[command.action], ActionRequest(viewer, await command_form(command, request)), self._audit
        )
        if not done.is_good:
            return problem(done.status or command.refused_status, done.text)
        content = {"message": done.text, "target": done.target, "page": done.lead_to}
        return JSONResponse(content, headers={**PAGE_HEADERS, **NO_STORE})


async def _question(action: Action, asked: ActionRequest) -> str | None:
    """The question before the action; None: there is none."""
    try:
        return None if action.question is None else await action.question(asked)
    except ActionRefused:
        # The action refuses as well, which is then shown and audited as usual.
        return None


def _require_right(viewer: Viewer, action: str) -> None:
    if not viewer.is_operator:
        raise Refused(t("Your role is read-only. Ask an operator to do this."))
    if not viewer.may(action):
        raise Refused(t("You may not do this ({action}). Ask an operator who may.", action=action))

"""Polling long operations. The addresses work after what was worked on is gone, so they ask for no right on it: an
operation's id is a secret of who started it."""

from __future__ import annotations

from darsena.api.arm import views
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.resources.ids import subscription_path
from darsena.resources.model import Operation

TAG = "Operations"
RETRY_AFTER_S = 1
"""Without it clients sleep 30 s between polls."""

_RESULT = "/subscriptions/{subscription}/operationresults/{operation}"
_PROVIDER = "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/locations/{location}"
_STATUS = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries/{registry}"
    "/operationStatuses/{operation}"
)


def list_routes(context: ArmContext) -> list[Route]:
    return [
        make_route(context, "GET", _RESULT, _result, summary="The result of an operation", tag=TAG),
        make_route(context, "GET", f"{_PROVIDER}/operationResults/{{operation}}", _result,
                   summary="The result of a registry operation", tag=TAG),
        make_route(context, "GET", _STATUS, _status, summary="The status of a registry operation",
                   response=views.OperationStatusView, tag=TAG),
    ]  # fmt: skip


def accept(call: Call, operation: Operation) -> Response:
    """202 with the address to poll."""
    location = (
        f"{call.base_url}{subscription_path(operation.subscription_id)}/operationresults/{operation.id}"
        f"?api-version={call.api_version}"
    )
    return _wait(Response(202)).header("location", location)


async def _result(call: Call) -> Response:
    """202 while it runs, then 200; a failed operation answers its error."""
    operation = await call.context.resources.get_operation(call.subscription_id, call.request.params["operation"])
    if operation.status == "Running":
        return accept(call, operation)
    if operation.status == "Failed":
        return call.answer(views.ErrorView(error=_error(operation)), 409)
    return Response(200)


async def _status(call: Call) -> Response:
    operation = await call.context.resources.get_operation(call.subscription_id, call.request.params["operation"])
    view = views.OperationStatusView(
        status=operation.status,
        id=f"{call.request.raw_path}",
        name=operation.id,
        error=_error(operation) if operation.status == "Failed" else None,
    )
    response = call.answer(view)
    return _wait(response) if operation.status == "Running" else response


def _error(operation: Operation) -> views.ErrorBody:
    return views.ErrorBody(code="OperationFailed", message=operation.error or "The operation failed.")


def _wait(response: Response) -> Response:
    return response.header("retry-after", str(RETRY_AFTER_S))

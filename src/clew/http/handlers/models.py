"""Models: /models."""

from clew.http.answers import Json
from clew.http.call import Call
from clew.wire import objects
from clew.wire.errors import ApiError
from clew.wire.objects import ListObject, ModelObject


async def get(call: Call[None]) -> Json[ModelObject]:
    """Read a model."""
    name = call.path["model"]
    if name not in call.services.models:
        raise ApiError(404, f"The model '{name}' does not exist.", param="model", code="model_not_found")
    return Json(ModelObject(id=name))


async def list_(call: Call[None]) -> Json[ListObject[ModelObject]]:
    """List the models that agents can use."""
    return Json(objects.listed([ModelObject(id=name) for name in call.services.models], has_more=False))

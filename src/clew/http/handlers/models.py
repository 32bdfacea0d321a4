"""Models: /models."""

from clew.http.answers import Json
from clew.http.call import Call
from clew.service import models
from clew.wire import objects
from clew.wire.errors import ApiError
from clew.wire.objects import ListObject, ModelObject


async def get(call: Call[None]) -> Json[ModelObject]:
    """Read a model."""
    name = call.path["model"]
    found = await models.read(call.services, name)
    if found is None:
        raise ApiError(404, f"The model '{name}' does not exist.", param="model", code="model_not_found")
    return Json(_object(found))


async def list_(call: Call[None]) -> Json[ListObject[ModelObject]]:
    """List the models that agents can use."""
    found = await models.every(call.services)
    return Json(objects.listed([_object(model) for model in found], has_more=False))


def _object(model: models.KnownModel) -> ModelObject:
    known = {name: value for name, value in model._asdict().items() if name != "name" and value is not None}
    return ModelObject(id=model.name, **known)

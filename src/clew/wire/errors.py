"""Errors as clients know them: ``{"error": {"message", "type", "param", "code"}}``, all four always there.

Source: OpenAI's published API schema (``ErrorResponse``); azure-core reads the same shape.
"""

import msgspec
from msgspec import Struct


class ErrorBody(Struct, frozen=True):
    """What an error says."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Struct, frozen=True):
    """The body of every answer that is not 200."""

    error: ErrorBody


class ApiError(Exception):
    """A request that is refused. It has left nothing behind."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(message, type, param, code)
        self.headers = headers or {}

    def encode(self) -> bytes:
        """Return the response's body."""
        return msgspec.json.encode(ErrorResponse(self.body))


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400: the request itself is wrong."""
    return ApiError(400, message, param=param, code=code)


def not_found(what: str, id: str) -> ApiError:
    """Return a 404: the project has no such object under this parent."""
    return ApiError(404, f"No {what} found with id '{id}'.")


def changed(message: str) -> ApiError:
    """Return a 412: the object is another than the client supposed (RFC 9110, 15.5.13)."""
    return ApiError(412, message, code="precondition_failed")


def unauthorized(message: str) -> ApiError:
    """Return a 401: the key is missing or wrong."""
    return ApiError(401, message, code="invalid_api_key")


def forbidden(message: str) -> ApiError:
    """Return a 403: the key is known, and may not do this."""
    return ApiError(403, message, code="insufficient_permissions")


def overloaded(message: str) -> ApiError:
    """Return a 429 that clients answer by asking again after a second."""
    headers = {"retry-after": "1"}
    return ApiError(429, message, type="rate_limit_error", code="rate_limit_exceeded", headers=headers)

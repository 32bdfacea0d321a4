"""Which model answers to which name."""

from collections.abc import Sequence

from clew.model.chat import ChatModel


class Models:
    """The models a server offers. Unknown names go to the default back end, unchanged.

    Args:
        default: the back end.
        names: what ``GET /models`` lists.
        rename: the name the back end is asked for instead of one it doesn't list, if any.
    """

    def __init__(self, default: ChatModel, names: Sequence[str], rename: str | None = None) -> None:
        self._default = default
        self.names = tuple(names)
        self._rename = rename

    def resolve(self, name: str) -> tuple[ChatModel, str]:
        """Return the back end for a model's name, and the name that back end knows it by."""
        if self._rename is not None and name not in self.names:
            return self._default, self._rename
        return self._default, name

    async def aclose(self) -> None:
        """Release the back ends."""
        await self._default.aclose()

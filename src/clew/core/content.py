"""What messages are made of. Source of the shapes: OpenAI's published API schema (``MessageObject``)."""

from typing import Literal, TypeAlias

from msgspec import Struct

from clew.core.options import Declared, Json


class FileCitation(Struct, frozen=True):
    """The file that a passage stands in."""

    file_id: str


class FileCitationAnnotation(Struct, frozen=True, kw_only=True, tag="file_citation"):
    """A marker in a text that cites a file; the indexes count code points of the text."""

    text: str
    start_index: int
    end_index: int
    file_citation: FileCitation


class UrlCitation(Struct, frozen=True, omit_defaults=True):
    """The page that a passage stands on."""

    url: str
    title: str | None = None


class UrlCitationAnnotation(Struct, frozen=True, kw_only=True, tag="url_citation"):
    """A marker in a text that cites a page; the indexes count code points of the text."""

    text: str
    start_index: int
    end_index: int
    url_citation: UrlCitation


class FilePath(Struct, frozen=True):
    """The file that a link leads to."""

    file_id: str


class FilePathAnnotation(Struct, frozen=True, kw_only=True, tag="file_path"):
    """A link in a text to a file that the answer has made."""

    text: str
    start_index: int
    end_index: int
    file_path: FilePath


Annotation: TypeAlias = FileCitationAnnotation | UrlCitationAnnotation | FilePathAnnotation


class TextValue(Struct, frozen=True):
    """A text and what it cites."""

    value: str
    annotations: list[Annotation] = []


class TextContent(Struct, frozen=True, tag="text"):
    """A part of a message: text."""

    text: TextValue


class RefusalContent(Struct, frozen=True, tag="refusal"):
    """A part of a message: why the model would not answer."""

    refusal: str


class ImageUrlValue(Struct, frozen=True):
    """An image by address, or inline as a ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageUrlContent(Struct, frozen=True, tag="image_url"):
    """A part of a message: an image by address."""

    image_url: ImageUrlValue


class ImageFileValue(Struct, frozen=True):
    """An image among the files."""

    file_id: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFileContent(Struct, frozen=True, tag="image_file"):
    """A part of a message: an image among the files."""

    image_file: ImageFileValue


Content: TypeAlias = TextContent | RefusalContent | ImageUrlContent | ImageFileContent


def text_content(value: str) -> TextContent:
    """Return a part that holds a text without citations."""
    return TextContent(TextValue(value))


class AttachmentTool(Declared, frozen=True):
    """What an attachment is for."""

    type: Literal["file_search", "code_interpreter"]


class Attachment(Declared, frozen=True):
    """A file that comes with a message."""

    file_id: str | None = None
    data_source: Json | None = None
    tools: list[AttachmentTool] | None = None

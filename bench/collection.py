"""Test collections: documents, queries, and which documents each query seeks.

Three forms are read. That of BEIR is a folder with ``corpus.jsonl`` (``_id``, ``title``, ``text``),
``queries.jsonl`` (``_id``, ``text``) and ``qrels/test.tsv`` (query, document, grade; a line of names first).
That of SMART, in which Cranfield and CISI are handed on, is a folder with three files: documents
(``cran.all.1400``, ``CISI.ALL``), queries (``*.qry``) and relations (``cranqrel``, ``*.rel``). The third is
our own: see ``bench/passages``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PASSAGES = Path(__file__).parent / "passages"

_RECORD = re.compile(r"^\.I\s+(\d+)\s*$", re.MULTILINE)
_FIELD = re.compile(r"^\.([A-Z])\b.*$", re.MULTILINE)


class Collection(NamedTuple):
    """Documents and queries by id, and the grades of documents by query: above 0 is what was sought."""

    documents: dict[str, str]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


def read(folder: Path, documents: int = 0, queries: int = 0) -> Collection:
    """Read a collection; of documents and judged queries the first so many, or all for 0.

    Raises:
        FileNotFoundError: the folder has no collection.
    """
    whole = _beir(folder) if (folder / "corpus.jsonl").exists() else _smart(folder)
    corpus = dict(list(whole.documents.items())[: documents or None])
    asked = {name: text for name, text in whole.queries.items() if name in whole.grades}
    return Collection(corpus, dict(list(asked.items())[: queries or None]), whole.grades)


def own(language: str) -> Collection:
    """Return our own passages of a language; of any but English, with those of all languages among them."""
    if language == "English":
        return _of_ours({language: _ours("english")}, language)
    return _of_ours({"English": _ours("english"), **_ours("languages")}, language)


def languages() -> list[str]:
    """Return the languages that our own passages are in, English first."""
    return ["English", *_ours("languages")]


# --- the forms ------------------------------------------------------------------------------------------


def _beir(folder: Path) -> Collection:
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    corpus = {
        row["_id"]: f"{row.get('title') or ''}\n{row['text']}".strip()
        for row in _rows(folder / "corpus.jsonl")
    }
    return Collection(corpus, {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl")}, grades)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _smart(folder: Path) -> Collection:
    corpus = _fields(_only(folder, r"\.all(\.\d+)?$"), "TW")
    # Cranfield numbers its queries with gaps; the relations count them.
    texts = enumerate(_fields(_only(folder, r"\.qry$"), "W").values(), 1)
    grades: dict[str, dict[str, int]] = {}
    for line in _only(folder, r"(qrel|\.rel)$").splitlines():
        query, document, *more = line.split()
        # What is listed was judged right, whatever the degree; Cranfield marks what is not with -1.
        right = not (more and more[0].startswith("-"))
        grades.setdefault(str(int(query)), {})[document] = int(right)
    return Collection(corpus, {str(number): text for number, text in texts}, grades)


def _only(folder: Path, ending: str) -> str:
    for path in sorted(folder.iterdir()):
        if re.search(ending, path.name, re.IGNORECASE):
            return path.read_text(encoding="utf-8", errors="replace")
    raise FileNotFoundError(f"{folder} has neither corpus.jsonl nor a file that ends like {ending}")


def _fields(text: str, wanted: str) -> dict[str, str]:
    """Return some fields of each record, by its number."""
    _, *pieces = _RECORD.split(text)
    records = {}
    for number, record in zip(pieces[::2], pieces[1::2], strict=True):
        _, *parts = _FIELD.split(record)
        fields = dict(zip(parts[::2], parts[1::2], strict=True))
        records[number] = "\n".join(fields.get(name, "").strip() for name in wanted).strip()
    return records


def _ours(name: str) -> Any:
    return json.loads((PASSAGES / f"{name}.json").read_text(encoding="utf-8"))


def _of_ours(sets: dict[str, Any], language: str) -> Collection:
    passages = {f"{of}/{name}": text for of, each in sets.items() for name, text in each["passages"].items()}
    questions: dict[str, list[str]] = sets[language]["questions"]
    grades = {text: {f"{language}/{name}": 1 for name in names} for text, names in questions.items()}
    return Collection(passages, {text: text for text in questions}, grades)

"""Code out of arguments, and links in text: the same however it is cut."""

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.citing import Settled
from clew.core.code import LINK, CodeInput, Links, arguments_of, fit, named
from clew.core.files import File
from clew.sandbox.frames import plain

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
CUTS = st.lists(st.integers(0, 200), max_size=8)


def _cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut for cut in cuts if cut < len(text)} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)] or [text]


def _code(pieces: list[str]) -> str:
    taken = CodeInput()
    return "".join([*map(taken.feed, pieces), taken.end()])


@given(TEXTS, CUTS, st.booleans())
def test_code_comes_out_of_json_however_it_is_cut(code: str, cuts: list[int], ascii_only: bool) -> None:
    assert _code(_cut(json.dumps({"code": code}, ensure_ascii=ascii_only), cuts)) == code
    assert _code([arguments_of(code)]) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("print(1)", "print(1)"),
        ("  x = {1: 2}", "x = {1: 2}"),
        ('{"language": "python", "code": "1+1"}', "1+1"),
        ('{"input":"2"}', "2"),
        ('{"python": "3"}', "3"),
        ('{"code": "a\\nb"} and more', "a\nb"),
        ('{"code": "\\ud83d\\ude00"}', "\N{GRINNING FACE}"),
        ('{"code": "\\ud83d x"}', "\ufffd x"),
        ('{"code": "cut \\u00', "cut "),
        ("{}", ""),
        ("", ""),
        ('{"a": 1', '{"a": 1'),
    ],
)
def test_what_models_send_is_read_leniently(arguments: str, code: str) -> None:
    assert _code([arguments]) == code
    assert _code(list(arguments)) == code


def test_code_comes_as_it_is_written() -> None:
    taken = CodeInput()
    assert [taken.feed(piece) for piece in ('{"co', 'de": "a', "\\", 'nb"', "}")] == ["", "a", "", "\nb", ""]


def _links(pieces: list[str], known: dict[str, str]) -> list[Settled]:
    links = Links(known)
    return [each for piece in pieces for each in links.feed(piece)] + links.end()


KNOWN = {"a.csv": "file_a", "my plot.png": "file_p", "a.csv.gz": "file_g", "b (1).txt": "file_b"}


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("[a](sandbox:/mnt/data/a.csv) is it", ["a.csv"]),
        ("see sandbox:/mnt/data/a.csv.", ["a.csv"]),
        ("see sandbox:/mnt/data/a.csv. And sandbox:/mnt/data/a.csv.gz", ["a.csv", "a.csv.gz"]),
        (
            "[p](sandbox:/mnt/data/my plot.png) [q](sandbox:/mnt/data/my%20plot.png)",
            ["my plot.png", "my%20plot.png"],
        ),
        ("(sandbox:/mnt/data/b (1).txt)", ["b (1).txt"]),
        ("(sandbox:/mnt/data/b%20(1).txt)", ["b%20(1).txt"]),
        ("sandbox:/mnt/data/a.csvx sandbox:/mnt/data/nothing sandbox:/mnt/ sandbox:", []),
        ("sandbox:/mnt/data/a.csv.zip", []),
        ("ssandbox:/mnt/data/a.csv", ["a.csv"]),
    ],
)
def test_links_to_files_that_are_there(text: str, linked: list[str]) -> None:
    for pieces in ([text], list(text), _cut(text, [3, 9, 20, 21, 30])):
        settled = _links(pieces, KNOWN)
        assert "".join(each.text for each in settled) == text
        assert [each.text for each in settled if each.file_id] == [LINK + name for name in linked]


@given(
    st.lists(st.sampled_from(["sandbox:/mnt/data/", "sandbox", "a.csv", ".gz", ".", ")", " ", "my", "é"])),
    CUTS,
)
def test_cuts_change_nothing(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)

    def joined(pieces: list[str]) -> list[tuple[str, str]]:
        at, found = 0, []
        for each in _links(pieces, KNOWN):
            if each.file_id:
                found.append((each.file_id, str(at)))
            at += len(each.text)
        assert at == len(text)
        return found

    assert joined(_cut(text, cuts)) == joined([text])


def test_what_is_held_back_is_bounded() -> None:
    links = Links({"a.csv": "file_a"})
    told = sum(len(each.text) for each in links.feed(LINK + "x" * 10_000))
    assert told == len(LINK) + 10_000


def test_links_cost_the_same_however_many_files_there_are() -> None:
    links = Links({f"made_{number}.csv": f"file_{number}" for number in range(20_000)})
    text = "".join(f"{LINK}made_{number}.csv " for number in range(2_000))
    begun = time.process_time()
    settled = [each for piece in text for each in links.feed(piece)] + links.end()
    assert time.process_time() - begun < 5
    assert sum(each.file_id is not None for each in settled) == 2_000


@given(st.text(max_size=300))
def test_every_name_fits_into_a_session(name: str) -> None:
    assert plain(fit(name))
    assert fit(fit(name)) == fit(name)


def _file(file_id: str, name: str) -> File:
    return File(
        id=file_id,
        project="alpha",
        created_at=0,
        filename=name,
        purpose="assistants",
        bytes=1,
        sha256="",
        blob=file_id,
    )


def test_no_file_stands_where_another_is_by_its_id() -> None:
    files = [_file("file-a", "file-b"), _file("file-b", "file-a"), _file("file-c", "x"), _file("file-d", "x")]
    assert [each.name for each in named(files, [])] == ["file-b_2", "file-a_2", "x", "x_2"]

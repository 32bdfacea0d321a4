"""What is shown of a long conversation, and how answers in the memory trials are judged."""

from typing import Any

import pytest

from bench.embedded.memory import TUNING, UNSEEN, Heard, Turn
from clew.model.embedded import conversation
from clew.model.embedded.recall import is_question, statements, without_echoes

Json = dict[str, Any]


def told(*texts: str) -> list[tuple[str, str]]:
    return [turn for text in texts for turn in (("user", text), ("assistant", "Hm."))]


def messages(turns: list[tuple[str, str]], *system: str) -> list[Json]:
    return [{"role": role, "content": text} for role, text in [*(("system", s) for s in system), *turns]]


class TestStatements:
    def test_the_likeliest_comes_last_and_of_two_the_later_one(self) -> None:
        turns = told("I live in Lisbon.", "Now I live in Porto.", "I have a dog.")
        assert statements(turns, "In which city do I live?") == [turns[n][1] for n in (4, 0, 2)]

    @pytest.mark.parametrize(
        "question", ["Who painted Guernica?", "And of Italy?", "今日は何曜日ですか\uff1f"]
    )
    def test_none_if_the_question_is_about_something_else(self, question: str) -> None:
        assert statements(told("My name is Ada.", "I like tea and cake."), question) == []

    def test_questions_are_no_statements(self) -> None:
        assert statements(told("Where is my boat?"), "What is my boat called?") == []

    def test_many_are_cut_to_those_that_share_most(self) -> None:
        turns = told("My boat is called Argo.", *(f"My plan is number {n}." for n in range(50)))
        found = statements(turns, "What is my boat called?")
        assert found[-1] == "My boat is called Argo."
        assert len(found) == 4

    def test_none_if_one_is_a_long_text(self) -> None:
        turns = told("My report says: " + "the sea is wide. " * 40, "I wrote it in May.")
        assert statements(turns, "What does my report say?") == []

    def test_other_languages(self) -> None:
        turns = told("Ich heiße Jonas und wohne in Bremen.", "Mein Hund heißt Balu.")
        assert "Mein Hund heißt Balu." in statements(turns, "Wie heißt mein Hund?")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Why? ", True),
            ("何ですか\uff1f", True),
            ("ما اسمي؟", True),
            ("Hm.", False),
            ("long " * 80 + "?", False),
        ],
    )
    def test_a_question_is_told_by_its_mark(self, text: str, expected: bool) -> None:
        assert is_question(text) is expected


class TestEchoes:
    def test_a_statement_repeated_is_kept_apart(self) -> None:
        turns = [("user", "My cat is called Pixel, by the way."), ("assistant", "my cat is called Pixel")]
        assert without_echoes(turns) == ([], ["My cat is called Pixel, by the way."])

    def test_a_question_repeated_is_left_out(self) -> None:
        turns = [("user", "What is my name?"), ("assistant", "What is my name?"), ("user", "Well?")]
        assert without_echoes(turns) == ([("user", "Well?")], [])

    def test_an_answer_given_before_is_an_echo(self) -> None:
        hello = ("assistant", "Hello! How can I help?")
        turns = [("user", "Hi!"), hello, ("user", "I am Ada."), hello]
        assert without_echoes(turns) == (turns[:2], ["I am Ada."])

    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            ("Is the sky blue?", "The sky is blue."),
            ("Say yes.", "Yes."),
            ("My name is Ada.", "Nice to meet you, Ada."),
            ("The red one or the blue one, tell me now.", "The blue one."),
        ],
    )
    def test_anything_else_stays(self, said: str, answer: str) -> None:
        turns = [("user", said), ("assistant", answer)]
        assert without_echoes([*turns, ("user", "And?")]) == ([*turns, ("user", "And?")], [])


class TestRecallTurns:
    def test_a_question_stands_beside_what_it_is_about(self) -> None:
        turns = told("My boat is called Argo.", "Name a planet.", "Name a fruit.")
        asked = messages([*turns, ("user", "What is my boat called?")], "Be kind.")
        shown = conversation.recall_turns(asked)
        assert shown[0] == ("system", "Be kind.")
        assert shown[-1][1].startswith("The user said:\n- My boat is called Argo.\n")
        assert shown[-1][1].endswith("\n\nQuestion: What is my boat called?")
        assert shown[-3:-1] == turns[-2:]

    @pytest.mark.parametrize("last", ["Tell me about my boat.", "Who wrote Hamlet?"])
    def test_anything_else_ends_the_conversation_as_it_was(self, last: str) -> None:
        asked = messages([*told("My boat is called Argo."), ("user", last)], "Be kind.")
        assert conversation.recall_turns(asked) == conversation.chat_turns(asked)

    def test_what_was_only_repeated_becomes_a_note_in_the_instructions(self) -> None:
        turns = [
            ("user", "I live in Lisbon."),
            ("assistant", "I live in Lisbon."),
            ("user", "Name a planet."),
        ]
        shown = conversation.recall_turns(messages(turns, "Be kind."))
        assert shown == [("system", "Be kind.\n\nThe user said:\n- I live in Lisbon."), turns[-1]]

    def test_nothing_said_is_no_trouble(self) -> None:
        assert conversation.recall_turns([]) == []
        assert conversation.recall_turns(messages([("assistant", "Hello!")])) == [("assistant", "Hello!")]


class TestJudging:
    @pytest.mark.parametrize(
        ("turn", "answer", "right"),
        [
            (Turn("Who?", "recalled", ("ada",)), "You are Ada.", True),
            (Turn("Who?", "recalled", ("ada",)), "You are from Adana.", False),
            (Turn("How old?", "untold"), "You haven\u2019t told me.", True),
            (Turn("How old?", "untold"), "She is 30.", False),
        ],
    )
    def test_an_answer_holds_the_word_or_admits(self, turn: Turn, answer: str, right: bool) -> None:
        assert Heard(turn, answer).right is right

    def test_nothing_asked_is_answered_by_the_question(self) -> None:
        for talk in (*TUNING, *UNSEEN):
            for turn in talk.turns:
                assert turn.kind in ("told", "follow-up") or not Heard(turn, turn.said).right, turn.said

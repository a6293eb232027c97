"""Counts and the most common words."""

import unittest

from ..counting import Counts, count, most_common

_TEXT = "The cat saw the dog.\nThe dog ran!\n"


class Counting(unittest.TestCase):
    """Small texts counted by hand, and a long one counted by rule."""

    def test_a_small_text(self) -> None:
        expected = Counts(lines=2, sentences=2, words=8, distinct_words=5, characters=34)
        self.assertEqual(count(_TEXT), expected)

    def test_an_empty_text(self) -> None:
        self.assertEqual(count(""), Counts(0, 0, 0, 0, 0))

    def test_most_common_first_and_then_by_alphabet(self) -> None:
        self.assertEqual(most_common(_TEXT, 3), [("the", 3), ("dog", 2), ("cat", 1)])

    def test_fewer_words_than_asked_for(self) -> None:
        self.assertEqual(most_common("one", 5), [("one", 1)])

    def test_a_long_text_is_its_parts(self) -> None:
        repeats = 150_000
        once, many = count(_TEXT), count(_TEXT * repeats)
        self.assertEqual(many.words, once.words * repeats)
        self.assertEqual(many.sentences, once.sentences * repeats)
        self.assertEqual(many.distinct_words, once.distinct_words)

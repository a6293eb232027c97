"""Words and sentences."""

import unittest

from ..words import sentences, words


class Words(unittest.TestCase):
    """What counts as one word."""

    def test_case_does_not_matter(self) -> None:
        self.assertEqual(list(words("To TO to")), ["to", "to", "to"])

    def test_apostrophes_and_hyphens_join(self) -> None:
        self.assertEqual(list(words("don't well-known - 'quoted'")), ["don't", "well-known", "quoted"])

    def test_numbers_are_no_words(self) -> None:
        self.assertEqual(list(words("7 of 12, v2")), ["of", "v"])

    def test_letters_of_every_language(self) -> None:
        self.assertEqual(list(words("Größe, naïve, слово")), ["größe", "naïve", "слово"])


class Sentences(unittest.TestCase):
    """Where a sentence ends."""

    def test_three_ends(self) -> None:
        self.assertEqual(sentences("One. Two! Three?"), ["One", "Two", "Three"])

    def test_a_full_stop_inside_a_number_ends_nothing(self) -> None:
        self.assertEqual(sentences("Pi is 3.14 or so."), ["Pi is 3.14 or so"])

    def test_nothing_holds_no_sentence(self) -> None:
        self.assertEqual(sentences(" ... "), [])

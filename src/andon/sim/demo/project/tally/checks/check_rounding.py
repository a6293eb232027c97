"""Percentages."""

import unittest

from ..rounding import percentages


class Percentages(unittest.TestCase):
    """Shares are close to the truth and add up."""

    def test_even_shares(self) -> None:
        self.assertEqual(percentages([1, 1, 2]), [25, 25, 50])

    def test_one_takes_all(self) -> None:
        self.assertEqual(percentages([3, 0]), [100, 0])

    def test_nothing_to_share(self) -> None:
        self.assertEqual(percentages([0, 0]), [0, 0])

    def test_shares_add_up_to_a_hundred(self) -> None:
        for parts in ([1, 1, 1], [1, 1, 1, 1, 1, 1], [2, 3, 3], [1, 5, 7, 11, 13]):
            with self.subTest(parts=parts):
                self.assertEqual(sum(percentages(parts)), 100)

    def test_no_share_is_off_by_a_point_or_more(self) -> None:
        parts = [2, 3, 5, 9]
        for part, share in zip(parts, percentages(parts), strict=True):
            self.assertLess(abs(share - part * 100 / sum(parts)), 1)

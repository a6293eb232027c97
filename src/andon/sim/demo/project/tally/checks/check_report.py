"""The report, and the command as a program."""

import subprocess
import sys
import unittest

from ..report import report


class Report(unittest.TestCase):
    """What people get to see."""

    def test_counts_and_shares(self) -> None:
        lines = report("to be or not to be so now", common=2).splitlines()
        self.assertEqual(lines[2].split(), ["words", "8"])
        self.assertEqual(lines[-3].split(), ["be", "2", "25", "%"])
        self.assertEqual(lines[-1].split(), ["(others)", "4", "50", "%"])

    def test_an_empty_text_has_a_report_too(self) -> None:
        self.assertIn("words", report(""))

    def test_the_program_reads_its_input(self) -> None:
        command = [sys.executable, "-m", "tally"]
        done = subprocess.run(command, input="one two two", capture_output=True, text=True, check=True)
        self.assertIn("two", done.stdout)

    def test_the_program_refuses_a_missing_file(self) -> None:
        command = [sys.executable, "-m", "tally", "no-such-file"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-file", done.stderr)

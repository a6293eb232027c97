"""A secret that no header can carry is refused by name, and never repeated; room on the disk comes first."""

from pathlib import Path

import pytest

from andon.runtime.errors import Refused
from andon.runtime.files import PlaceKept, read_secret

ODD = [
    (b"first-half\nsecond-half\n", "more than one line"),
    (b"first-half\r\nsecond-half", "more than one line"),
    (b"first-half second-half", "white space inside it"),
    (b"first-half\tsecond-half", "white space inside it"),
    (b"\xef\xbb\xbffirst-half", "a byte order mark"),
    ("first-hälf".encode(), "no printable ASCII"),
    (b"first-half\x00", "no printable ASCII"),
    (b"first-half\x7f", "no printable ASCII"),
]


@pytest.mark.parametrize(("content", "said"), ODD)
def test_a_token_file_with_odd_content_is_refused_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "github.token"
    file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        read_secret(file, what="GitHub token")
    sentence = str(refused.value)
    assert sentence.startswith(f"{file}: the GitHub token file holds") and said in sentence and "\n" not in sentence
    assert "half" not in sentence and "hälf" not in sentence


def test_white_space_around_a_secret_is_none_of_it_and_text_may_have_lines(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  one-word \n\n")
    assert read_secret(file, what="token") == "one-word"
    file.write_text("-----BEGIN\nkey\n-----END\n")
    assert read_secret(file, what="key", text=True) == "-----BEGIN\nkey\n-----END"


def test_a_place_is_kept_before_and_filled_again_after_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "host.token"
    file.mkdir()
    with PlaceKept(file, mode=0o600) as place:
        (taken,) = [each for each in tmp_path.iterdir() if each != file]
        assert taken.stat().st_blocks * 512 >= 4096
        with pytest.raises(OSError, match="directory"):
            place.fill(b"content")
        file.rmdir()
        place.fill(b"content")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"content", 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_a_place_that_was_not_needed_leaves_nothing(tmp_path: Path) -> None:
    with PlaceKept(tmp_path / "x"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        PlaceKept(tmp_path / "absent" / "x")

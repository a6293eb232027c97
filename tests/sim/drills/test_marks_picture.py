"""The picture of a host that is driven over the marks of its disk."""

from itertools import pairwise
from xml.etree import ElementTree

from andon.sim.drills.on_host.marks_picture import marks_picture
from andon.sim.drills.on_host.over_the_marks import MarkSample, Recording, Step

TOTAL = 1000


def a_sample(seconds: float, free: int, level: str, slot: str = "idle") -> MarkSample:
    return MarkSample(
        seconds=seconds, total=TOTAL, free=free, level=level, live=100, dead=50, trash=0, ballast=10, slot=slot
    )


RECORDING = Recording(
    samples=(a_sample(0, 840, "ok"), a_sample(60, 140, "soft"), a_sample(120, 90, "hard", "unavailable")),
    steps=(Step(seconds=0, text="it begins"), Step(seconds=60, text='files <of> "others"'), Step(seconds=60, text="b")),
    violations=(),
)


def of_kind(tree: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return tree.findall(f"{{http://www.w3.org/2000/svg}}{name}")


def test_each_class_lies_upon_the_one_below_and_free_room_ends_at_the_top() -> None:
    tree = ElementTree.fromstring(marks_picture(RECORDING))
    areas = [
        [tuple(map(float, point.split(","))) for point in each.attrib["points"].split()]
        for each in of_kind(tree, "polygon")
    ]
    assert len(areas) == 6
    for below, above in pairwise(areas):
        # The upper edge of one is the lower edge of the next, told backwards.
        assert below[:3] == above[3:][::-1]
    heights = {y for _, y in areas[-1][:3]}
    assert len(heights) == 1, "what is free ends where the disk does"


def test_levels_slots_and_steps_are_told_in_words() -> None:
    tree = ElementTree.fromstring(marks_picture(RECORDING))
    words = [each.text for each in of_kind(tree, "text")]
    assert {"ok", "soft", "soft 15%", "hard 10%", "emergency 4%"} <= set(words)
    assert '2. 60 s: files <of> "others"' in words


def test_steps_of_one_moment_do_not_hide_each_other() -> None:
    tree = ElementTree.fromstring(marks_picture(RECORDING))
    places = [(each.attrib["x"], each.attrib["y"]) for each in of_kind(tree, "text") if each.text in ("2", "3")]
    assert len(set(places)) == 2


def test_its_numbers_are_written_as_rows(tmp_path) -> None:
    RECORDING.write_samples(tmp_path / "marks.csv")
    rows = (tmp_path / "marks.csv").read_text().splitlines()
    assert rows[0].startswith("seconds,total,free,level") and len(rows) == 4

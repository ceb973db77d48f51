"""Open families find their members: in folders, in files that the user names, in installed packages."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from ufm.numerics import families


@dataclass(frozen=True)
class Toy:
    name: str


TOYS = families.Family(
    "toys", lambda: (), lambda value: type(value).__name__ == "Toy", lambda toy: toy.name, ("second",)
)
FILE = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Toy:
    name: str
FIRST = Toy("first")
MORE = (Toy("second"), Toy("third"))
"""


def test_a_file_in_use_adds_members_and_a_changed_one_is_read_again(tmp_path, clean):
    file = tmp_path / "toys.py"
    file.write_text(FILE)
    assert families.use(file) == (str(file),) == families.used()
    assert list(TOYS.members()) == ["second", "first", "third"]
    assert os.environ[families.FROM] == str(file)
    file.write_text(FILE.replace("third", "fourth"))
    families.use(tmp_path)
    assert list(TOYS.members()) == ["second", "first", "fourth"]
    with pytest.raises(ValueError, match=r"toys must be .*'fist'.*first"):
        TOYS.get("fist")


def test_two_members_of_one_name_are_refused_with_both_files(tmp_path, clean):
    (tmp_path / "a.py").write_text(FILE)
    (tmp_path / "b.py").write_text(FILE)
    families.use(tmp_path)
    with pytest.raises(ValueError, match=r"'first' is taken twice, in .*a\.py and in .*b\.py"):
        TOYS.members()


def test_a_process_started_with_the_environment_finds_the_same_members(tmp_path, clean, monkeypatch):
    (tmp_path / "a.py").write_text(FILE)
    monkeypatch.setenv(families.FROM, str(tmp_path / "a.py"))
    assert "third" in TOYS.members()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.py", None, r"from must name a Python file .*absent\.py"),
        ("words.txt", "", r"from must name a Python file .*words\.txt"),
        ("broken.py", "1 /", r"broken\.py cannot be run: SyntaxError"),
        ("raises.py", "1 / 0", r"raises\.py cannot be run: ZeroDivisionError: division by zero"),
        (".", None, r"there is none in"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path, clean, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        families.use(tmp_path / name)
    assert families.used() == ()

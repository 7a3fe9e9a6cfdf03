"""Texts that are no JSON, no YAML or no table, by whatever fault, end as one exception with a cause."""

from __future__ import annotations

import pytest

from mednoisy.text_files import DEEPEST, Unusable, read_json, read_table, read_yaml


def written(folder, content: str | bytes):
    path = folder / "a.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (b"\xff", "can't decode byte 0xff"),
        ("1" * 5_000, "integer string conversion"),
        ("[" * 50_000 + "]" * 50_000, "deeper than 100 levels"),
        ("[" * 500 + "1" + "]" * 500, "deeper than 100 levels"),
    ],
)
def test_what_is_no_json(tmp_path, content, why):
    with pytest.raises(Unusable, match=why):
        read_json(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a: [1", "expected ',' or ']'"),
        (b"\xff", "can't decode byte 0xff"),
        ("a: \x1b", "characters are not allowed"),
        ("1" * 5_000, "integer string conversion"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: !!timestamp b", "NoneType"),
        ("a: !!bool b", "'b'"),
        ("{[1]: 2}", "unhashable key"),
        ("[" * 2_000 + "]" * 2_000, "deeper than 100 levels"),
        ("[" * 100_000 + "]" * 100_000, "deeper than 100 levels"),  # where libyaml ends the process
        ("- " * 50_000 + "1", "deeper than 100 levels"),
        ("a: &a [1, *a]", "leads into itself"),
        ("a: &a {b: {c: *a}}", "leads into itself"),
        ("a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)), "deeper than 100 levels"),
    ],
)
def test_what_is_no_yaml(tmp_path, content, why):
    with pytest.raises(Unusable, match=why):
        read_yaml(written(tmp_path, content))


def test_aliases_may_repeat_parts_but_not_multiply_them(tmp_path):
    assert read_yaml(written(tmp_path, "a: &a [1, 2]\nb: [*a, *a]")) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(Unusable, match="more than 1,000,000 values"):
        read_yaml(written(tmp_path, "\n".join(lines)))


def test_what_is_nested_as_deep_as_may_be_is_read(tmp_path):
    text = "[" * DEEPEST + "1" + "]" * DEEPEST
    value, depth = read_json(written(tmp_path, text)), 0
    while value != 1:
        (value,), depth = value, depth + 1
    assert depth == DEEPEST
    assert read_yaml(written(tmp_path, text)) == read_json(written(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\n\xff,2\n", "can't decode byte 0xff"),
        ("a,b\n1\n", "line 2 has another number of cells"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has another number of cells"),
        ("a,b\n1," + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_no_table(tmp_path, content, why):
    with pytest.raises(Unusable, match=why):
        read_table(written(tmp_path, content))


def test_a_table_is_read_line_by_line(tmp_path):
    assert read_table(written(tmp_path, 'a,b\n1,"2\n3"\n')) == [{"a": "1", "b": "2\n3"}]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [(read_json, "[1]", [1]), (read_yaml, "a: 1", {"a": 1}), (read_table, "a\n1\n", [{"a": "1"}])],
)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, read, text, value):
    assert read(written(tmp_path, "\ufeff" + text)) == value


@pytest.mark.parametrize("read", [read_json, read_yaml, read_table])
def test_what_cannot_be_opened(tmp_path, read):
    with pytest.raises(Unusable, match="No such file"):
        read(tmp_path / "absent")
    with pytest.raises(Unusable, match="Is a directory"):
        read(tmp_path)

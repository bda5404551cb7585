"""Takes the pages of the documentation apart."""

import re
import textwrap


def section(page: str, title: str) -> str:
    """What stands under a heading of the second or third level, to the next one of either."""
    level = r"#{2,3}"
    found = re.search(rf"^{level} {re.escape(title)}\n(.*?)(?=^{level} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in a language, also those of items of a list, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def all_blocks(page: str) -> list[tuple[str, str, str]]:
    """Each code block of a page: the heading above it, its language and its text."""
    found, heading, lines = [], "", iter(page.splitlines(keepends=True))
    for line in lines:
        opening = re.match(r"( *)```(\w*)$", line.rstrip("\n"))
        if opening:
            inside = list(iter(lambda: next(lines), f"{opening[1]}```\n"))
            found.append((heading, opening[2], textwrap.dedent("".join(inside))))
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found

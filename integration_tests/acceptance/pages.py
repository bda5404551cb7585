"""Takes the pages of the documentation apart."""

import re


def section(page: str, title: str) -> str:
    """What stands under a heading of the second or third level, to the next one of either."""
    level = r"#{2,3}"
    found = re.search(rf"^{level} {re.escape(title)}\n(.*?)(?=^{level} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

"""A page of HTML as its elements, for tests that ask what stands in them; unbalanced tags fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass(slots=True)
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


class Elements(HTMLParser):
    """All elements of a page, each with the text in it."""

    VOID = ("meta", "link", "br", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.all.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop().tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def named(self, tag: str, of: str = "") -> list[Element]:
        return [
            each
            for each in self.all
            if each.tag == tag and of in [*each.attributes.get("class", "").split(), ""]
        ]

    @property
    def plots(self) -> list[dict[str, object]]:
        data = [each.text for each in self.named("script") if each.attributes.get("id") == "plots-data"]
        found: list[dict[str, object]] = json.loads(data[0])
        return found


def text_of(elements: list[Element]) -> str:
    return "\n".join(" ".join(element.text.split()) for element in elements)

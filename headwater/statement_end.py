"""Whether a text typed so far ends with a finished statement.

A semicolon ends a statement unless it stands in a string, a quoted name, a dollar-quoted text or a
comment. Only the shell's "give me another line" hangs on the answer; the server parses for itself.
"""

import re
from typing import Final

# Each alternative consumes one lexical element; an element that is not closed does not match and
# falls through to `open`, which runs to the end of the text.
_ELEMENT: Final = re.compile(
    r"""
    (?P<closed>
        [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
        | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
        | --[^\n]*(?:\n|$)
    )
    | (?P<comment>/\*)
    | (?P<open>[eE]?'.*|".*|\$(?:[A-Za-z_]\w*)?\$.*)
    | (?P<word>\w[\w$]*)
    | (?P<semicolon>;)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def is_complete(text: str) -> bool:
    """Whether the last thing in `text`, comments and blanks aside, is a statement's semicolon."""
    ended = False
    position = 0
    while position < len(text):
        match = _ELEMENT.match(text, position)
        assert match is not None  # `other` takes anything
        position = match.end()
        match match.lastgroup:
            case "open":
                return False
            case "comment":
                end = _end_of_comment(text, position)
                if end is None:
                    return False
                position = end
            case "semicolon":
                ended = True
            case "space":
                continue
            case "closed" | "tag" if match["closed"].startswith("--"):
                continue
            case _:
                ended = False
    return ended


def _end_of_comment(text: str, position: int) -> int | None:
    """Where a block comment ends; they nest. None if it does not."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return None

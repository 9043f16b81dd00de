"""Literal text between double quotes, which all templates of to_char and its inverses share."""

from typing import Final

QUOTE: Final = '"'


def quoted_text(template: str, start: int) -> tuple[str, int]:
    """The characters from `start`, just behind an opening quote, up to the closing one or to the
    end of the template, and where the template goes on. A backslash makes a quote or a backslash,
    as any character, stand for itself."""
    characters: list[str] = []
    position = start
    while position < len(template):
        character = template[position]
        if character == QUOTE:
            return "".join(characters), position + 1
        if character == "\\" and position + 1 < len(template):
            position += 1
            character = template[position]
        characters.append(character)
        position += 1
    return "".join(characters), position

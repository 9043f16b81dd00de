"""COPY input, first half: bytes to rows, for the formats text, csv and binary.

Formats: PostgreSQL's manual, "COPY", and the behaviour of PostgreSQL 15 where the manual is silent.
"""

from compute.copy_binary import BinaryParser
from compute.copy_csv import CsvParser
from compute.copy_lines import CopyParser
from compute.copy_text import TextParser
from compute.protocol import CopyFormat, CopyWork


def copy_parser(work: CopyWork) -> CopyParser:
    """The parser of a COPY's input."""
    match work.format:
        case CopyFormat.TEXT:
            return TextParser(work)
        case CopyFormat.CSV:
            return CsvParser(work)
        case CopyFormat.BINARY:
            return BinaryParser(work)

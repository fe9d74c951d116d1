"""What an option of a command needs beside the field that it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import UserError, shortened


@dataclass(frozen=True)
class Option:
    """How the command line writes a field where its name and type do not tell; it stands in the
    field's `Annotated`.

    Attributes:
        name: of the option without dashes; by default that of the field.
        form: of its value in help: `TASK=NUMBER`.
        example: of a table's entry, which the command line writes `NAME=VALUE`: `buy=40`.
    """

    name: str = ""
    form: str = ""
    example: str = ""

    def pairs(self, texts: list[str]) -> dict[str, str]:
        """The table of a repeated option; raises UserError for a text that is no pair, or a name
        that comes twice.
        """
        option, expected = f"--{self.name}", f"{self.form} as in {self.example}"
        table: dict[str, str] = {}
        for text in texts:
            name, equals, value = map(str.strip, text.partition("="))
            if not (name and equals and value):
                raise UserError(f"{option}: expected {expected}, found '{shortened(text)}'")
            if name in table:
                raise UserError(f"{option}: expected each name once, found '{name}' twice")
            table[name] = value
        return table

"""Workbooks, by calamine; its panics and its appetite for memory end the child and nothing else."""

from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from clew.reading.formats.archive import Archive
from clew.reading.formats.out import Out


def read(file: BinaryIO, out: Out) -> None:
    """Write a section for each sheet: its name as a heading, then a line a row, cells apart by tabulators."""
    from python_calamine import CalamineWorkbook

    Archive(file).unpack_all()  # calamine believes the sizes that an archive declares
    file.seek(0)
    workbook: Any = CalamineWorkbook.from_filelike(file)
    for name in workbook.sheet_names:
        out.begin()
        headed = False
        for row in workbook.get_sheet_by_name(name).iter_rows():
            line = "\t".join(map(_shown, row)).rstrip("\t")
            if line and not headed:
                out.write(f"# {name}\n")
                headed = True
            if line:
                out.write(line + "\n")


def _shown(value: object) -> str:
    """Return a cell as people see it: whole numbers are floats in the file, and shown as whole numbers."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time | timedelta):
        return str(value)
    return " ".join(str(value).split())

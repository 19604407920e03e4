"""PDF and Word files made on the spot: text, encrypted, scanned, with running headers. Synthetic data."""

from __future__ import annotations

import io
from collections.abc import Sequence


def pdf(pages: Sequence[Sequence[str]], *, password: str | None = None, header: str | None = None) -> bytes:
    """A PDF with a text layer: lines per page; with a header and a page number on every page if asked for."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption(password) if password else None)
    for number, lines in enumerate(pages, 1):
        if header:
            canvas.drawString(70, 800, f"{header} {2000 + number}")
            canvas.drawString(280, 40, f"Page {number} of {len(pages)}")
        for place, line in enumerate(lines):
            canvas.drawString(70, 760 - 16 * place, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted_with_aes(plain: bytes, user: str, owner: str) -> bytes:
    """The same PDF under AES-256."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(plain)))
    writer.encrypt(user, owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def scanned_pdf(pages: int = 2) -> bytes:
    """A PDF whose pages are images."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    image = ImageReader(Image.effect_noise((60, 80), 50))
    out = io.BytesIO()
    canvas = Canvas(out)
    for _ in range(pages):
        canvas.drawImage(image, 0, 0, 500, 700)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def docx(paragraphs: Sequence[str], table: Sequence[Sequence[str]] = ()) -> bytes:
    """A Word file: paragraphs, then a table, then one more paragraph."""
    from docx import Document

    document = Document()
    document.sections[0].header.paragraphs[0].text = "A running header"
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        made = document.add_table(len(table), len(table[0]))
        for row, cells in zip(made.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
        document.add_paragraph("After the table.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def docx_of(body: str) -> bytes:
    """A Word file whose body holds this XML after its one paragraph; `w:` is Word's namespace."""
    from docx import Document
    from docx.oxml import parse_xml

    namespaces = (
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    document = Document()
    document.add_paragraph("First.")
    for element in parse_xml(f"<w:body {namespaces}>{body}</w:body>"):
        document.element.body.insert(len(document.element.body) - 1, element)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def scanned_in_a_form() -> bytes:
    """A PDF whose page draws a form that holds the image."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, StreamObject

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(scanned_pdf(1))))
    page = writer.pages[0]
    form = StreamObject()
    form.update({NameObject("/Type"): NameObject("/XObject"), NameObject("/Subtype"): NameObject("/Form"), NameObject("/Resources"): page["/Resources"]})  # fmt: skip
    held = DictionaryObject({NameObject("/Form"): writer._add_object(form)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): held})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()

"""PDF, DOCX, TXT and archives become text, or are refused by name with a stable code."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from models.documents.read import read_document, unpacked
from models.documents.rows import read_rows
from models.documents.values import DocumentRefusedError, Limits
from tests.made_documents import docx, docx_of, encrypted_with_aes, pdf, scanned_in_a_form, scanned_pdf

PAGES = [
    ["Lady Hale gives the judg-", "ment of the court in this well-", "known matter of public law, and others agree.", "The appeal is allowed."],
    ["A second page is about a well-known duty of care", "that ends here."],
]  # fmt: skip


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def code_of(content: bytes, name: str, limits: Limits | None = None) -> str:
    with pytest.raises(DocumentRefusedError) as refused:
        read_document(content, name, limits or Limits())
    assert name in str(refused.value)
    return refused.value.code


def test_a_pdf_is_read_page_by_page_and_hyphens_at_line_ends_are_undone() -> None:
    found = read_document(pdf(PAGES), "a.pdf", Limits())
    assert found.pages == 2
    assert "gives the judgment of the court in this well-known matter" in found.text
    assert found.text.index("appeal is allowed") < found.text.index("second page")
    assert found.warnings == ()


def test_running_headers_and_page_numbers_go_only_where_most_pages_repeat_them() -> None:
    pages = [[f"Paragraph {word} speaks of the claim.", f"It is long enough to stay as {word}."] for word in ("one", "two", "three", "four", "five")]  # fmt: skip
    found = read_document(pdf(pages, header="[UKSC] Crown v Doe"), "a.pdf", Limits())
    assert "Crown v Doe" not in found.text
    assert "Page" not in found.text
    assert all(f"Paragraph {word}" in found.text for word in ("one", "five"))
    assert found.warnings == ("10 running header and footer lines were left out.",)
    three = read_document(pdf(pages[:3], header="[UKSC] Crown v Doe"), "a.pdf", Limits())
    assert three.text.count("Crown v Doe") == 3


def test_a_pdf_under_an_owners_password_alone_is_read() -> None:
    assert (
        "appeal is allowed"
        in read_document(encrypted_with_aes(pdf(PAGES), "", "own"), "a.pdf", Limits()).text
    )


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (pdf(PAGES, password="secret"), "rc4.pdf", "document-password-protected"),
        (encrypted_with_aes(pdf(PAGES), "secret", "own"), "aes.pdf", "document-password-protected"),
        (pdf(PAGES)[:400], "cut.pdf", "document-corrupt"),
        (b"%PDF-1.7 nothing more", "short.pdf", "document-corrupt"),
        (b"plain words", "renamed.pdf", "document-corrupt"),
        (scanned_pdf(), "scan.pdf", "document-scanned"),
        (pdf([[]]), "blank.pdf", "document-empty"),
        (b" \n", "empty.txt", "document-empty"),
        (b"PK\x03\x04 broken", "a.docx", "document-corrupt"),
        (zipped({"hello.txt": b"x"}), "b.docx", "document-kind-unknown"),
        (scanned_in_a_form(), "form.pdf", "document-scanned"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"x" * 99, "old.doc", "document-kind-unknown"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"), "c.docx", "document-password-protected"),
        (b"GIF89a\x00\x01", "picture.gif", "document-kind-unknown"),
        (b"ab\x00cd", "binary.txt", "document-kind-unknown"),
        (b"\xff\xfea", "half.txt", "document-corrupt"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_a_stable_code(content: bytes, name: str, code: str) -> None:
    assert code_of(content, name) == code


def test_a_scan_is_told_to_go_through_ocr_and_a_half_scanned_file_is_warned_of() -> None:
    from pypdf import PdfReader, PdfWriter

    with pytest.raises(DocumentRefusedError, match="OCR"):
        read_document(scanned_pdf(), "scan.pdf", Limits())
    writer = PdfWriter()
    for part in (pdf(PAGES), scanned_pdf(1)):
        writer.append(PdfReader(io.BytesIO(part)))
    out = io.BytesIO()
    writer.write(out)
    found = read_document(out.getvalue(), "half.pdf", Limits())
    assert found.warnings == ("1 of 3 pages are images without text (3): OCR them.",)


def test_limits_are_kept() -> None:
    assert code_of(pdf(PAGES), "a.pdf", Limits(bytes=100)) == "document-too-large"
    assert code_of(pdf(PAGES), "a.pdf", Limits(pages=1)) == "document-too-large"
    assert code_of(pdf(PAGES), "a.pdf", Limits(characters=50)) == "document-too-large"
    assert code_of(docx(["word " * 30]), "a.docx", Limits(characters=50)) == "document-too-large"
    assert code_of(b"word " * 30, "a.txt", Limits(characters=50)) == "document-too-large"


def test_a_word_file_is_read_in_order_with_its_tables_and_without_its_header() -> None:
    found = read_document(docx(["First.", "Second."], [["a", "b"], ["c", "d"]]), "a.docx", Limits())
    assert found.text == "First.\n\nSecond.\n\na\tb\nc\td\n\nAfter the table."
    assert found.pages is None


def test_a_word_file_is_read_as_it_stands_after_its_tracked_changes() -> None:
    run = "<w:r><w:t xml:space='preserve'>{}</w:t></w:r>"
    words = {name: run.format(name) for name in ("kept ", "new", "gone", "marked", "field", "moved", "cell", "inner", "box", "old box", "lost")}  # fmt: skip
    found = read_document(
        docx_of(f"""
            <w:sdt><w:sdtPr/><w:sdtContent><w:p>{run.format("A content control.")}</w:p></w:sdtContent></w:sdt>
            <w:p>{words["kept "]}<w:ins w:id="1">{words["new"]}</w:ins>
              <w:del w:id="2"><w:r><w:delText>gone</w:delText></w:r></w:del><w:moveFrom w:id="3">{words["gone"]}</w:moveFrom>
              <w:r><w:tab/><w:noBreakHyphen/></w:r><w:smartTag w:element="x">{words["marked"]}</w:smartTag>
              <w:fldSimple w:instr="DATE">{words["field"]}</w:fldSimple><w:moveTo w:id="4">{words["moved"]}</w:moveTo></w:p>
            <w:tbl><w:tr><w:tc><w:p>{words["cell"]}</w:p></w:tc><w:tc>
              <w:tbl><w:tr><w:tc><w:p>{words["inner"]}</w:p></w:tc></w:tr></w:tbl><w:p/></w:tc></w:tr>
              <w:tr><w:trPr><w:del w:id="5"/></w:trPr><w:tc><w:p>{words["lost"]}</w:p></w:tc></w:tr></w:tbl>
            <w:p><w:r><mc:AlternateContent><mc:Choice Requires="x"><w:drawing><w:txbxContent><w:p>{words["box"]}</w:p></w:txbxContent></w:drawing>
              </mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p>{words["old box"]}</w:p></w:txbxContent></w:pict></mc:Fallback>
              </mc:AlternateContent></w:r></w:p>"""),
        "a.docx",
        Limits(),
    )
    assert found.text.split("\n\n") == ["First.", "A content control.", "kept new -markedfieldmoved", "cell\tinner", "box"]  # fmt: skip
    assert found.warnings == ()


def test_notes_that_are_left_out_are_counted() -> None:
    note = "<w:p><w:r><w:t>Said.</w:t></w:r><w:r><w:footnoteReference w:id='2'/></w:r></w:p>"
    assert read_document(docx_of(note * 3), "a.docx", Limits()).warnings == ("Footnotes are left out: 3.",)


@pytest.mark.parametrize("name", ["letter.doc", "letter.pdf", "letter.txt", "letter"])
def test_pdf_and_word_files_are_known_by_what_is_in_them(name: str) -> None:
    assert read_document(docx(["Words."]), name, Limits()).text == "Words."
    assert "appeal is allowed" in read_document(pdf(PAGES), name, Limits()).text


def test_a_text_about_pdf_is_a_text() -> None:
    assert (
        read_document(b"A PDF begins with %PDF-1.7.", "a.txt", Limits()).text == "A PDF begins with %PDF-1.7."
    )


def test_a_long_pdf_is_left_between_two_pages() -> None:
    class Stopped(Exception):
        pass

    pages: list[int] = []

    def breathe() -> None:
        pages.append(len(pages))
        if len(pages) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        read_document(pdf(PAGES * 4), "a.pdf", Limits(), breathe)
    assert len(pages) == 2


def test_a_page_that_is_broken_inside_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from pypdf import PageObject
    from pypdf.errors import PdfStreamError

    def broken(*_: object) -> str:
        raise PdfStreamError("no end")

    monkeypatch.setattr(PageObject, "extract_text", broken)
    monkeypatch.setattr(PageObject, "__getitem__", broken)
    assert code_of(pdf(PAGES), "hurt.pdf") == "document-corrupt"


def test_a_zip_bomb_in_a_word_file_is_not_unpacked() -> None:
    bomb = zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b"\x00" * (40 << 20)})
    assert len(bomb) < 100_000
    assert code_of(bomb, "bomb.docx") == "document-bomb"
    assert code_of(zipped({"a": b"x" * 2000}), "big.docx", Limits(unpacked_bytes=1000)) == "document-bomb"


@pytest.mark.parametrize(
    ("content", "text", "warned"),
    [
        ("Müller".encode(), "Müller", False),
        ("Müller".encode("utf-8-sig"), "Müller", False),
        ("Müller".encode("utf-16"), "Müller", False),
        ("Müller – “so”".encode("cp1252"), "Müller – “so”", True),
        (b"M\xfcller \x81", "Müller \x81", True),
    ],
)
def test_encodings_are_told_apart_and_guesses_are_said(content: bytes, text: str, warned: bool) -> None:
    found = read_document(content, "a.txt", Limits())
    assert found.text == text
    assert bool(found.warnings) is warned


def test_control_characters_and_form_feeds_are_no_text() -> None:
    found = read_document(b"one\x07\r\ntwo\x0cthree  \tfour", "a.txt", Limits())
    assert (found.text, found.pages) == ("one\ntwo\n\nthree four", 2)


def test_an_archive_gives_its_files_in_order_without_hidden_ones() -> None:
    files = {"b/2.txt": b"two", "b/1.txt": b"one", "__MACOSX/1.txt": b"x", "b/.DS_Store": b"x", "b/": b""}
    assert list(unpacked(zipped(files), "a.zip", Limits())) == [("b/1.txt", b"one"), ("b/2.txt", b"two")]


def test_of_a_file_too_large_an_archive_gives_what_shows_it_and_no_more() -> None:
    found = dict(unpacked(zipped({"long.jsonl": b"x" * 5000}), "a.zip", Limits(bytes=1000)))
    assert len(found["long.jsonl"]) == 1001
    with pytest.raises(DocumentRefusedError, match="more than the 1,000 bytes") as refused:
        read_rows(found["long.jsonl"], "long.jsonl", Limits(bytes=1000))
    assert refused.value.code == code_of(found["long.jsonl"], "long.txt", Limits(bytes=1000))


@pytest.mark.parametrize(
    ("content", "limits", "code"),
    [
        (b"no zip", Limits(), "document-corrupt"),
        (zipped({}), Limits(), "document-empty"),
        (zipped({"a.txt": b"a", "b.txt": b"b"}), Limits(files=1), "document-too-large"),
        (zipped({"a.txt": b"\x00" * (40 << 20)}), Limits(), "document-bomb"),
        (docx(["A Word file."]), Limits(), "document-kind-unknown"),
    ],
)
def test_wrong_archives_are_refused(content: bytes, limits: Limits, code: str) -> None:
    with pytest.raises(DocumentRefusedError) as refused:
        list(unpacked(content, "a.zip", limits))
    assert refused.value.code == code


def test_a_file_damaged_inside_is_refused_and_ends_nothing() -> None:
    good = bytearray(docx(["A paragraph of some length, to be packed."] * 50))
    with zipfile.ZipFile(io.BytesIO(bytes(good))) as archive:
        begin = archive.getinfo("word/document.xml").header_offset + 60
    good[begin : begin + 40] = b"\xff" * 40
    assert code_of(bytes(good), "hurt.docx") == "document-corrupt"
    packed = bytearray(zipped({"a.txt": b"A text that is long enough to be packed. " * 20}))
    packed[40:60] = b"\xff" * 20
    with pytest.raises(DocumentRefusedError, match=r"hurt\.zip: the archive is damaged"):
        list(unpacked(bytes(packed), "hurt.zip", Limits()))


def test_rows_of_texts_with_summaries() -> None:
    lines = [
        {"id": 1, "text": "A long text.", "summary": "Short.", "group": None},
        {"text": "B", "summary": "b"},
    ]
    rows, _ = read_rows("\n".join(map(json.dumps, lines)).encode(), "a.jsonl", Limits())
    assert rows == [{"id": "1", "text": "A long text.", "summary": "Short."}, {"text": "B", "summary": "b"}]
    rows, _ = read_rows(b'text,summary\n"a, b\nc",short\n\n', "a.csv", Limits())
    assert rows == [{"text": "a, b\nc", "summary": "short"}]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b'{"text": "a"}\n[1]', "a.jsonl", "line 2"),
        (b"text,text\na,b", "a.csv", "each once"),
        (b"text,summary\na,b\nc", "a.csv", "line 3 has 1 fields"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "a.jsonl", "line 1 is no JSON object"),
        (b"", "a.jsonl", "no rows"),
        (b"text,summary\n", "a.csv", "no rows"),
    ],
)
def test_broken_rows_are_named_by_line(content: bytes, name: str, words: str) -> None:
    with pytest.raises(DocumentRefusedError, match=words):
        read_rows(content, name, Limits())

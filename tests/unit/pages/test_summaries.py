"""A summary and its text cut for a page: nothing lost, everything that is not in the text marked."""

from app.pages.summaries import Piece, source_pieces, summary_pieces, support_of
from app.summaries.job_schemas import SummaryAnswer

SUMMARY = "He paid $6. His children miss him."


def item(**fields):
    faithfulness = {
        "supported_share": 0.5, "items": {"number": 1, "date": 0, "citation": 0, "name": 0}, "names_checked": True, "embedded": False,
        "unsupported": [{"kind": "number", "text": "$6", "start": 8, "end": 10}],
        "sentences": [
            {"start": 0, "end": 11, "supported": False, "overlap": 0.5, "similarity": None, "source": None, "unsupported_items": 1},
            {"start": 12, "end": 34, "supported": True, "overlap": 1.0, "similarity": None, "source": [4, 9], "unsupported_items": 0},
        ],
    }  # fmt: skip
    known = {
        "text_id": "txt_1", "external_id": "a", "text_version": 1, "current": True, "run_id": "smr_1", "summary": SUMMARY, "words": 7,
        "words_in_text": 20, "strategy": "whole", "supported_share": 0.5, "faithfulness": faithfulness, "details": {}, "error": None,
    }  # fmt: skip
    return SummaryAnswer(**known | fields)


def test_what_the_text_does_not_have_is_marked_and_no_character_lost():
    pieces = summary_pieces(item())
    assert "".join(piece.text for piece in pieces) == SUMMARY
    assert pieces[:3] == [
        Piece("He paid ", "doubt", "", 0),
        Piece("$6", "missing", "number: not in the text", 0),
        Piece(".", "doubt", "", 0),
    ]
    assert pieces[-1] == Piece("His children miss him.", "", "", 2)


def test_a_verbatim_summary_and_none_at_all():
    assert summary_pieces(item(faithfulness=None)) == [Piece(SUMMARY)]
    assert summary_pieces(item(summary=None, faithfulness=None)) == []
    assert support_of(item(faithfulness=None, details={"sentences": [[0, 3], [5, 9]]})) == [(0, 3), (5, 9)]


def test_overlapping_stretches_of_the_text_are_marked_once_each_with_its_number():
    content = "abcdefghij"
    pieces = source_pieces(content, [(0, 0), (2, 6), (4, 8), (2, 4)])
    assert "".join(piece.text for piece in pieces) == content
    assert [(piece.text, piece.kind, piece.number) for piece in pieces] == [
        ("ab", "", 0), ("cd", "source", 2), ("ef", "source", 3), ("gh", "source", 0), ("ij", "", 0)
    ]  # fmt: skip
    assert source_pieces("", []) == []

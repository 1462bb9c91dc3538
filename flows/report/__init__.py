"""The page beside the video: what was computed, how it looks, how long it took."""

from flows.report.page import Page, Section, Table, write_page

__all__ = ["Page", "Section", "Table", "write_page"]

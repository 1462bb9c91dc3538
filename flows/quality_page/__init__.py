"""The quality page of a store: what came in, what is good, what to look at."""

from flows.quality_page.build import write_quality_page

__all__ = ["write_quality_page"]

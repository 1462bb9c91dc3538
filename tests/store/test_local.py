"""The backend suite on a local folder."""

from store_suite import StoreSuite


class TestLocal(StoreSuite):
    """All on the `cache` fixture of conftest."""

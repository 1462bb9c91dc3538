"""How a command ends.

Python takes its interpreter down while threads of icechunk may still be handing back a result; such
a thread then asks for the interpreter, is ended by it in the middle of Rust code, and the process
aborts: 5 of 95 short commands ended with code 134 after all their work was done. So a command does
what Python does first (join threads, exit handlers, flush) and leaves the rest out, as
multiprocessing does in its children.
"""

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code, without taking the interpreter down."""
    try:
        threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a closed pipe, a closed stream
                stream.flush()
        os._exit(code)

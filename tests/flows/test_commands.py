"""Every command: its help, its JSON, its exit codes; completion, by a shell."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prefect
import pytest
import typer
from typer.testing import CliRunner

from flows import doctor
from flows.cli import app
from flows.commands.options import EXIT_BUG, EXIT_NOTHING_DONE, EXIT_WRONG_USAGE
from flows.doctor import examine

ROOT = Path(__file__).resolve().parents[2]
INTERACTIVE = {"inspect", "studio", "preferences serve", "weights quantise"}
"""They open a window or a page, or tell of one thing in one sentence."""


def commands() -> Iterator[tuple[str, Any]]:
    """(path, command) of every command there is."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield " ".join(path), command
            return
        for name, sub in below.items():
            yield from walk(sub, (*path, name))

    yield from walk(typer.main.get_command(app), ())


def test_every_command_has_an_example_of_itself_and_help_for_every_option() -> None:
    found = dict(commands())
    assert len(found) > 30
    for path, command in found.items():
        assert f"Example: emohead {path}" in (command.help or ""), path
        for parameter in command.params:
            assert getattr(parameter, "help", "") or parameter.name == "help", (path, parameter)


def test_every_command_that_prints_a_result_prints_it_as_json_too() -> None:
    mute = {p for p, c in commands() if "--json" not in [o for x in c.params for o in x.opts]}
    assert mute <= INTERACTIVE


def test_readme_and_docs_name_commands_and_options_that_exist() -> None:
    found = dict(commands())
    heads = {path.split()[0] for path in found}
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        code = False
        for line in document.read_text(encoding="utf-8").splitlines():
            code ^= line.startswith("```")
            words = line.strip().split("#")[0].split()
            if not code or words[:1] != ["emohead"] or words[1].startswith("-"):
                continue
            path = " ".join(words[1:3]) if " ".join(words[1:3]) in found else words[1]
            assert path in found, f"{document.name}: {line}"
            assert words[1] in heads
            known = {option for parameter in found[path].params for option in parameter.opts}
            for word in words[2:]:
                if word.startswith("--"):
                    assert word.split("=")[0] in known, f"{document.name}: {line}"


def test_exit_codes_are_those_the_documents_tell() -> None:
    assert (EXIT_BUG, EXIT_WRONG_USAGE, EXIT_NOTHING_DONE) == (1, 2, 3)
    told = "0 done, 1 a bug, 2 wrong usage, 3 "
    assert told in (ROOT / "docs" / "data-engineers.md").read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, ["--help"], terminal_width=200).stdout
    assert "Exit codes: 0 done, 1 a bug (traceback), 2 wrong usage, 3 refused" in shown


def test_completion_completes_commands_and_options_in_bash() -> None:
    scripts = Path(sys.executable).parent
    if not (scripts / "emohead").is_file():
        pytest.skip("the command `emohead` is not installed beside this Python")
    script = """
        eval "$(_EMOHEAD_COMPLETE=source_bash emohead)"
        complete -p emohead
        for line in "emohead pre" "emohead store fa" "emohead plan --prof"; do
            COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _emohead_completion emohead
            echo "${COMPREPLY[@]}"
        done
    """
    paths = {"PATH": f"{scripts}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True,
        env=os.environ | paths, cwd=ROOT,
    )  # fmt: skip
    registered, commands_, store, option = done.stdout.splitlines()
    assert "_emohead_completion emohead" in registered
    assert "preprocess" in commands_.split()
    assert store.split() == ["fall-back"]
    assert option.split() == ["--profile"]


class Versions(http.server.BaseHTTPRequestHandler):
    """What doctor asks a Prefect server."""

    version = "0.1.2"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        told = {"/api/health": True, "/api/admin/version": self.version}
        self.wfile.write(json.dumps(told[self.path]).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the tests' output."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Versions]]:
    kind = type("Server", (Versions,), {})
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{listening.server_address[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    yield kind
    listening.shutdown()
    listening.server_close()


def test_doctor_holds_the_servers_version_against_its_own(server: type[Versions]) -> None:
    found = doctor.prefect_server()
    assert (found.state, found.needed) == ("broken", True)
    assert f"server 0.1.2, client here {prefect.__version__}" in found.what
    server.version = prefect.__version__
    assert doctor.prefect_server().state == "ok"


def test_doctor_names_every_weight_a_profile_lacks_and_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(tmp_path / "empty"))
    lacks = [f for f in examine(profile="paper") if f.name == "profile paper"]
    named = " ".join(found.what for found in lacks)
    for name in ("3ddfa_mb05", "bisenet", "hubert_base", "emotion2vec_base", "llama2_7b"):
        assert name in named
    for found in lacks:
        assert (found.state, found.needed) == ("broken", True)
        assert "emohead weights add" in found.cure or "pip install" in found.cure
    (fine,) = doctor.profile_weights("embedded")
    assert fine.state == "ok"
    (wrong,) = doctor.profile_weights("papyrus")
    assert "there are embedded, paper" in wrong.what

    run = CliRunner()
    asked = run.invoke(app, ["doctor", "--profile", "paper", "--json"])
    assert asked.exit_code == EXIT_NOTHING_DONE
    assert any(found["cure"] for found in json.loads(asked.stdout))
    monkeypatch.setenv("EMOHEAD_SCRATCH_GB", "lots")
    (scratch,) = [found for found in doctor.room(None) if found.name == "scratch"]
    assert "'lots'" in scratch.what
    monkeypatch.setenv("EMOHEAD_SCRATCH_GB", "1e9")
    (scratch,) = [found for found in doctor.room(None) if found.name == "scratch"]
    assert (scratch.state, scratch.needed) == ("broken", False)  # local videos need none


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def burst() -> None:
        raise ZeroDivisionError("so")

    burst.__name__ = "gpu"
    monkeypatch.setattr(doctor, "gpu", burst)
    (found,) = [found for found in examine() if found.name == "gpu"]
    assert found.what == "ZeroDivisionError: so"

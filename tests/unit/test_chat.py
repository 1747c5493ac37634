"""``standpipe chat`` as it is typed, against a server in this process."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from client_fakes import ANSWERS, fake_client
from storyteller import Storyteller, storyteller

with warnings.catch_warnings():
    # typer's own, about click.
    warnings.simplefilter("ignore", DeprecationWarning)
    from click.testing import Result
    from typer.testing import CliRunner

    from standpipe_server.chat import Conversation
    from standpipe_server.cli import app

TOOK = "3 tokens, 12.5 tokens/s, the first after 250 ms, ended by length\n"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Storyteller, str]]:
    with storyteller() as both:
        yield both


@pytest.fixture
def server(served: tuple[Storyteller, str]) -> Storyteller:
    served[0].requests.clear()
    served[0].cancelled.clear()
    return served[0]


@pytest.fixture
def address(served: tuple[Storyteller, str]) -> str:
    return served[1]


def typed(*words: str, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(app, ["chat", *words], input=stdin, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(request: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in request.messages]


def test_one_message_is_answered_alone(server: Storyteller, address: str) -> None:
    result = typed("What is it?", "--address", address, stdin=b"never read\n")
    assert (0, "One two.\n", TOOK) == (result.exit_code, result.stdout, result.stderr)
    (request,) = server.requests
    assert [("user", "What is it?")] == said(request)
    assert "" == request.model
    assert not request.HasField("parameters")


def test_the_options_say_whom_to_ask_and_how(server: Storyteller, address: str) -> None:
    options = ["--model", "m", "--max-new-tokens", "9", "--temperature", "0.5", "--seed", "3"]
    typed("Who?", "--system", "Be brief.", *options, "--address", address)
    (request,) = server.requests
    assert [("system", "Be brief."), ("user", "Who?")] == said(request)
    parameters = request.parameters
    assert ("m", 9, True, 0.5, 3) == (
        request.model,
        parameters.max_new_tokens,
        parameters.do_sample,
        parameters.temperature,
        parameters.seed,
    )


def test_a_temperature_of_zero_draws_nothing_at_random(server: Storyteller, address: str) -> None:
    typed("Who?", "--temperature", "0", "--address", address)
    parameters = server.requests[0].parameters
    assert (True, False) == (parameters.HasField("do_sample"), parameters.do_sample)
    assert not parameters.HasField("temperature")


def test_each_line_of_a_pipe_is_a_turn_of_one_conversation(server: Storyteller, address: str) -> None:
    result = typed("--address", address, stdin="Wär es?\r\n\n  \nAnd then?".encode())
    assert (0, "One two.\nOne two.\n", TOOK * 2) == (result.exit_code, result.stdout, result.stderr)
    first, second = server.requests
    assert [("user", "Wär es?")] == said(first)
    assert [("user", "Wär es?"), ("assistant", "One two."), ("user", "And then?")] == said(second)


def test_an_empty_pipe_is_an_empty_conversation(server: Storyteller, address: str) -> None:
    result = typed("--address", address)
    assert (0, "", "", []) == (result.exit_code, result.stdout, result.stderr, server.requests)


@pytest.mark.parametrize(
    ("message", "before", "problem"),
    [("refuse", "", "INVALID_ARGUMENT: no such role"), ("break", "One \n", "INTERNAL: the model failed")],
)
def test_a_refusal_is_told_after_what_came(
    server: Storyteller, address: str, message: str, before: str, problem: str
) -> None:
    result = typed("--address", address, stdin=f"{message}\nnever asked\n".encode())
    assert (1, before, f"standpipe: {problem}\n") == (result.exit_code, result.stdout, result.stderr)
    assert 1 == len(server.requests)


def test_a_deadline_is_told(server: Storyteller, address: str) -> None:
    result = typed("wait", "--timeout", "1", "--address", address)
    assert 1 == result.exit_code
    assert result.stderr.startswith("standpipe: DEADLINE_EXCEEDED: ")
    assert server.cancelled.wait(20)


def test_no_server_at_all_is_told_at_once() -> None:
    result = typed("Who?", "--address", "127.0.0.1:1")
    assert (1, "") == (result.exit_code, result.stdout)
    (line,) = result.stderr.splitlines()
    assert line.startswith("standpipe: UNAVAILABLE: ")


@pytest.mark.parametrize(
    ("words", "stdin"), [(["\udcff"], b""), (["--system", "\udcff", "Who?"], b""), ([], b"a\xff\n")]
)
def test_what_is_no_text_is_told(server: Storyteller, address: str, words: list[str], stdin: bytes) -> None:
    result = typed(*words, "--address", address, stdin=stdin)
    assert (2, "", []) == (result.exit_code, result.stdout, server.requests)
    assert "standpipe: what is said isn't UTF-8: " in result.stderr


def test_calls_of_tools_are_shown_and_what_is_not_known_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client, channel = fake_client({"StreamChat": ANSWERS["StreamChat"]})
    conversation = Conversation(client, "", {})
    conversation.answer("Open!")
    conversation.answer("Now!")
    assert 'Of course.\nopen({"valve": 3, "how": "slowly"})\n' * 2 == capsys.readouterr().out
    sent: Any = channel.calls[1][1]
    assert ANSWERS["Chat"].message == sent.messages[1]
    client, _ = fake_client({"StreamChat": [type(ANSWERS["StreamChat"][0])(end={"usage": {}})]})
    Conversation(client, "", {}).answer("Who?")
    assert ("", "0 tokens, ended by \n") == capsys.readouterr()


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard
        self._shown = b""

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def shows(self, text: str) -> None:
        """Wait until it does, but not for ever; what comes before is forgotten."""
        while text.encode() not in self._shown:
            assert select.select([self._keyboard], [], [], 20)[0], f"no {text!r} after {self._shown!r}"
            self._shown += os.read(self._keyboard, 4096)
        self._shown = self._shown.partition(text.encode())[2]

    def prompts(self) -> None:
        """Wait until it does, and reads keys: until then the terminal itself would echo them."""
        self.shows("> ")
        while termios.tcgetattr(self._keyboard)[3] & termios.ICANON:
            time.sleep(0.01)

    def interrupt(self) -> None:
        """Press Ctrl-C, as late as a person would: Python's input() misses it while it draws."""
        time.sleep(0.3)
        self.process.send_signal(signal.SIGINT)


@contextmanager
def terminal(address: str) -> Iterator[Terminal]:
    keyboard, screen = pty.openpty()
    command = [sys.executable, "-m", "standpipe_server", "chat", "--address", address]
    environment = {**os.environ, "TERM": "dumb"}
    # Where the tests are a shell's background job, Ctrl-C is ignored, and would be by what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command, stdin=screen, stdout=screen, stderr=screen, start_new_session=True, env=environment
    ) as process:
        os.close(screen)
        try:
            yield Terminal(process, keyboard)
        finally:
            process.kill()
            os.close(keyboard)


def test_on_a_terminal_an_answer_can_be_cancelled_and_the_conversation_goes_on(
    server: Storyteller, address: str
) -> None:
    with terminal(address) as shell:
        shell.prompts()
        shell.type("wait\n")
        shell.shows("One ")
        shell.interrupt()
        shell.shows("cancelled")
        assert server.cancelled.wait(20)
        shell.prompts()
        shell.type("And then?\n")
        shell.shows("One two.")
        shell.shows("3 tokens")
        shell.prompts()
        # What is typed but not sent is dropped.
        shell.type("never sent")
        shell.shows("never sent")
        shell.interrupt()
        shell.prompts()
        shell.type("\x04")
        assert 0 == shell.process.wait(20)
    assert [("user", "wait"), ("assistant", "One "), ("user", "And then?")] == said(server.requests[-1])
    assert 2 == len(server.requests)


def test_ctrl_c_at_an_empty_prompt_ends_the_conversation(server: Storyteller, address: str) -> None:
    with terminal(address) as shell:
        shell.prompts()
        shell.interrupt()
        assert 0 == shell.process.wait(20)
    assert [] == server.requests

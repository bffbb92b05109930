"""The simulated shell does with simple texts what a shell does, without a process."""

import math
import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk_providers.alibabacloud.emulator.shell.programs import Outcome, launch, outcome, output
from vk_providers.alibabacloud.emulator.shell.script import ProgramContext
from vk_providers.alibabacloud.emulator.shell.steps import STDERR, STDOUT, Write
from vk_providers.alibabacloud.emulator.shell.terminal import Typed, cooked, type_in


def live(argv: tuple[str, ...], env: dict[str, str]) -> tuple[bytes, bytes, int]:
    """Return what a command writes to both streams, and its exit code."""
    written = {STDOUT: b"", STDERR: b""}
    steps = launch(argv, ProgramContext(env=env))
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return written[STDOUT], written[STDERR], end.value
        assert isinstance(step, Write)
        written[step.stream] += step.content


def ran(*argv: str, **context: object) -> tuple[bytes, int]:
    """Return what a command writes and its exit code."""
    pieces = output(argv, ProgramContext(**context))  # type: ignore[arg-type] # the tests' own keywords
    return b"".join(piece for _, piece in pieces), outcome(argv, endless=False).code


TEXTS = [
    "echo a  b",
    "echo -n a; echo b",
    "echo 'a  b' \"c  d\" e\\ f",
    "true && echo yes || echo no",
    "false && echo yes || echo no",
    "false; echo $?",
    "exit 3; echo no",
    "while false; do echo never; done; echo $?",
    "while true; do echo once; exit 4; done",
    "echo $HOME. ${HOME}/a \"$HOME  b\" '$HOME' \\$HOME",
    "echo $NONE a ''; exit 2",
    "printf '%s-%s\\n' a b",
    "echo a # no",
    "echo out; echo err >&2",
    "echo gone >/dev/null; echo err 2>/dev/null >&2",
    "echo one 2>&1 >/dev/null; echo two >/dev/null 2>&1",
    "set -e; echo 'quo\"te' \"a'b\"",
    "echo a\necho b",
    "printf ''",
    "sh -c 'exit 5'; echo $?",
    "sh -c 'echo $0 $1 \"$2\" $3.' name arg 'a  b'",
    "sh -c 'echo $HOME'; trap 'exit 0' TERM; echo end",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_does_what_a_real_shell_does_with_it(text: str):
    env = {"HOME": "/x y", "PATH": os.defpath}
    real = subprocess.run(["sh", "-c", text], capture_output=True, env=env, check=False)
    assert live(("sh", "-c", text), env) == (real.stdout, real.stderr, real.returncode)


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=30))
def test_whatever_is_typed_ends_or_is_refused(text: str):
    assert 0 <= outcome(("sh", "-c", text), endless=False).code <= 255


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=4))
def test_quoted_words_pass_through_unharmed(words: list[str]):
    content, _ = ran("sh", "-c", shlex.join(["echo", "-n", *words]))
    assert content.decode() == " ".join(words)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("sleep", "10"), Outcome(10, 0)),
        (("sleep", "1m"), Outcome(60, 0)),
        (("sleep", "infinity"), Outcome(math.inf, 0)),
        (("sh", "-c", "sleep 5; exit 3"), Outcome(5, 3)),
        (("exit", "4"), Outcome(0, 4)),
        (("true",), Outcome(0, 0)),
        (("cat",), Outcome(0, 0)),
        (("sh",), Outcome(0, 0)),
        (("nginx", "-g", "daemon off;"), Outcome(math.inf, 0)),
        (("sh", "-c", "nginx && exit 1"), Outcome(math.inf, 0)),
        (("sh", "-c", "while true; do sleep 1; done"), Outcome(math.inf, 0)),
        (("sh", "-c", "while true; do :; done"), Outcome(math.inf, 0)),
        (("sh", "-c", "while true; do while true; do echo; done; done"), Outcome(math.inf, 0)),
        (("sh", "-c", "while true; do " * 5000), Outcome(0, 2)),
        (("sh", "-c", "sh -c " * 5000), Outcome(0, 0)),
    ],
)
def test_a_containers_command_comes_to_a_time_and_a_code(argv: tuple[str, ...], expected: Outcome):
    assert outcome(argv) == expected


def test_open_input_keeps_a_reader_waiting():
    assert outcome(("cat",), stdin=True) == Outcome(math.inf, 0)


def test_a_program_that_is_not_simulated_is_not_found_in_an_exec():
    content, code = ran("ls", "/")
    assert (content, code) == (b"sh: ls: not found\n", 127)


def test_variables_and_files_are_those_of_the_place():
    context = {"env": {"NAME": "web", "HOSTNAME": "h"}, "files": {"/etc/a": b"\0\xff"}}
    assert ran("printenv", "NAME", **context)[0] == b"web\n"
    assert ran("hostname", **context)[0] == b"h\n"
    assert ran("cat", "/etc/a", **context)[0] == b"\0\xff"
    assert ran("cat", "/etc/b", **context)[0] == b"cat: /etc/b: No such file or directory\n"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "echo 'a",
            'echo "a',
            "echo $(date)",
            'echo "$(date)"',
            "echo `date`",
            "${x:-y}",
            "echo $",
        ),
        *("if true", "for i in a; do echo; done", "a > b", "; ;;", "a &&", "&& a", "a | b", "a &"),
        *(
            "while true; do",
            "while true",
            "do",
            "done",
            "while; do a; done",
            "A=1",
            "(a)",
            "{ a; }",
        ),
    ],
)
def test_what_it_cannot_read_is_a_usage_error(text: str):
    content, code = ran("sh", "-c", text)
    assert content.startswith(b"sh: syntax error: ")
    assert code == 2


@pytest.mark.parametrize(
    ("line", "keys", "typed"),
    [
        (b"", b"ls\r", Typed(b"", b"ls\r\n", b"ls\n")),
        (b"l", b"s", Typed(b"ls", b"s")),
        (b"ab", b"\x7f", Typed(b"a", b"\b \b")),
        (b"", b"\x7f", Typed(b"")),
        (b"ab", b"\x03rest", Typed(b"", b"^C", interrupted=True)),
        (b"", b"\x04", Typed(b"", ended=True)),
        (b"ab", b"\x04", Typed(b"", b"", b"ab")),
    ],
)
def test_keys_make_lines(line: bytes, keys: bytes, typed: Typed):
    assert type_in(line, keys) == typed


def test_a_terminal_shows_lines_from_their_beginning():
    assert cooked(b"a\nb\n") == b"a\r\nb\r\n"

"""The simulated shell does with simple texts what a shell does, without a process."""

import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk_providers.alibabacloud.emulator.shell.programs import Outcome, outcome, output
from vk_providers.alibabacloud.emulator.shell.run import ProgramContext
from vk_providers.alibabacloud.emulator.shell.terminal import Typed, cooked, type_in


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
    "A='x  y'; echo $A \"$A\" ${A}z",
    "A=1 env | cat >/dev/null; echo $A.",
    "if false; then echo a; elif true; then echo b; else echo c; fi",
    "for i in 1 2 3; do echo $i; [ $i = 2 ] && break; done",
    "i=0; while [ $i -lt 3 ]; do i=$((i + 1)); echo $i; done",
    "until true; do echo never; done; echo $?",
    "for i in $(seq 1 3); do echo n$i; done",
    'echo $(echo a; echo b) "$(echo a; echo b)"',
    "{ echo a; echo b; } | cat",
    "(exit 4); echo $?",
    "echo $((2 * (3 + 4) % 5))",
    "printf '%s-%s\\n' a b c",
    "printf 'x%d\\n' 7",
    "echo a # no",
    "echo out; echo err >&2",
    "echo gone >/dev/null; echo err 2>/dev/null >&2",
    "set -e; echo 'quo\"te' \"a'b\"",
    "echo a\necho b",
    "test -z '' && echo empty; test -n x && echo full",
    "exec echo last; echo no",
    "printf ''",
    "sh -c 'exit 5'; echo $?",
    "sh -c 'echo $0 $1 $#' name arg",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_does_what_a_real_shell_does_with_it(text: str):
    real = subprocess.run(["sh", "-c", text], capture_output=True, env={}, check=False)
    content, _ = ran("sh", "-c", f"{{ {text}\n}} 2>/dev/null")
    inner = outcome(("sh", "-c", text), endless=False).code
    assert (content, inner) == (real.stdout, real.returncode)


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=30))
def test_whatever_is_typed_ends_or_is_refused(text: str):
    assert 0 <= outcome(("sh", "-c", text), endless=False).code <= 255


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=4))
def test_arguments_pass_through_at_unharmed(words: list[str]):
    content, _ = ran("sh", "-c", 'printf "[%s]" "$@"', "sh", *words)
    shown = "".join(f"[{word}]" for word in words) or "[]"
    assert content.decode() == shown


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
        (("sh", "-c", "x=a; while true; do x=$x$x; done"), Outcome(0, 2)),
        (("sh", "-c", "(" * 5000), Outcome(0, 2)),
        (("sh", "-c", "$(" * 3000 + ")" * 3000), Outcome(0, 0)),
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
    "text", ["echo 'a", 'echo "a', "echo $(a", "if true", "a > b", "; ;;", "${x:-y}"]
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

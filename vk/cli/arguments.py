"""The Go program's way with arguments, translated before click sees them.

Flags that mean nothing here are taken out (and named, for one warning each), and switches may have
a value (``--disable-taint=false``), as its flag library allows. Pure; called by `vk.cli.main`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vk.cli import values
from vk.cli.options import OPTIONS
from vk.errors import ConfigError

__all__ = ["translate"]

_IGNORED_SWITCHES = frozenset({"enable-node-lease"})
_IGNORED = frozenset(
    {
        "metrics-addr",
        "namespace",
        "stream-creation-timeout",
        "trace-exporter",
        "trace-sample-rate",
        "trace-service-name",
        "trace-tag",
    }
)
# Of klog's flags these have a value, which may be the next argument; the others are switches.
_KLOG_VALUES = frozenset(
    f"klog.{name}"
    for name in (
        "log_backtrace_at",
        "log_dir",
        "log_file",
        "log_file_max_size",
        "stderrthreshold",
        "v",
        "vmodule",
    )
)
_VALUED = frozenset(option.flag for option in OPTIONS if not option.switch) | {"config"}
_SWITCHES = frozenset(option.flag for option in OPTIONS if option.switch)


def translate(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments for click, and the ignored flags, each once, in order.

    Stops at the first argument that is no flag: a command's own arguments are left as they are.
    """
    kept: list[str] = []
    ignored: dict[str, None] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--":
        name, sign, value = rest.pop(0)[2:].partition("=")
        if _takes_next(name) and not sign and rest:
            value, sign = rest.pop(0), "="
        if name in _IGNORED or name in _IGNORED_SWITCHES or name.startswith("klog."):
            ignored["--" + name] = None
        elif name in _SWITCHES and sign:
            kept.append(_switch(name, value))
        else:
            kept.append(f"--{name}{sign}{value}")
    return kept + rest, list(ignored)


def _takes_next(name: str) -> bool:
    return name in _VALUED or name in _IGNORED or name in _KLOG_VALUES


def _switch(name: str, value: str) -> str:
    try:
        return f"--{name}" if values.boolean(value) else f"--no-{name}"
    except ValueError as error:
        raise ConfigError(f"--{name}: expected {error}, not {value[:80]!r}") from error

"""The command `vk`: the group, its flags, and how errors become one line and an exit code.

Exit codes: 0 stopped or answered, 1 failed while running, 2 wrong usage or configuration. Imports
nothing heavy, so that help and usage errors answer at once; each command imports what it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from vk._version import __version__
from vk.cli import values
from vk.cli.arguments import translate
from vk.cli.options import OPTIONS, build_settings
from vk.errors import ConfigError, ForbiddenError, PluginError, UnavailableError, VkError

__all__ = ["command", "main"]

_IGNORED = "vk.ignored"
"""Key of the context's ``meta`` with the ignored flags."""
_FLAGS = "vk.flags"
"""Key of the context's ``meta`` with the flags that stand before the command."""


class _Root(click.Group):
    """A group that takes the Go program's arguments and says every error in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        arguments, ignored = translate(args)
        ctx.meta[_IGNORED] = ignored
        return super().parse_args(ctx, arguments)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands first: the flags, which are many, are those of the node."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "vk",
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run and exit; ``standalone_mode`` is part of click's signature and has no effect."""
        try:
            code = super().main(args, prog_name or "vk", complete_var, False, **extra)
        except click.ClickException as error:
            code = _complain(error.format_message(), error.exit_code)
        except (ConfigError, PluginError) as error:
            code = _complain(str(error), 2)
        except UnavailableError as error:
            code = _complain(f"{error}; look at --kubeconfig and the network", 1)
        except ForbiddenError as error:
            code = _complain(f"{error}; the caller needs that permission", 1)
        except VkError as error:
            code = _complain(str(error), 1)
        except click.Abort:
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    click.echo("vk: error: " + " ".join(message.split()), err=True)
    return code


_plugin_option = click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Python file that registers a provider; repeatable.",
)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` every flag of the table; values stay text, `build_settings` parses."""
    for option in reversed([option for option in OPTIONS if option.flag]):
        text = option.help + (f" [{option.variable}]" if option.variable else "")
        form = f"--{option.flag}/--no-{option.flag}" if option.switch else f"--{option.flag}"
        kind: dict[str, Any] = {"default": None} if option.switch else {"multiple": option.many}
        function = click.option(form, _parameter(option.flag), help=text, **kind)(function)
    text = "File with these settings by the same names: TOML or YAML. [VK_CONFIG]"
    return click.option("--config", envvar="VK_CONFIG", help=text)(function)


def _parameter(flag: str) -> str:
    return "flag_" + flag.replace("-", "_")


@click.group(
    cls=_Root,
    name="vk",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_with_options
@click.version_option(__version__, "--version", prog_name="vk", message="%(prog)s %(version)s")
@click.pass_context
def command(context: click.Context, /, **parameters: Any) -> int:
    """Join a Kubernetes cluster as a node that runs its pods on a provider."""
    context.meta[_FLAGS] = _flags(parameters)
    if context.invoked_subcommand is not None:
        return 0
    flags = context.meta[_FLAGS]
    settings = build_settings(flags, os.environ)
    from vk.cli.reload import Reload
    from vk.cli.run import run

    file = Path(flags["config"]) if "config" in flags else None
    reload = Reload(settings, lambda: build_settings(flags, os.environ), file)
    return run(settings, reload, ignored=context.meta[_IGNORED])


def _flags(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what the command line gave, by flag."""
    given = {option.flag: parameters[_parameter(option.flag)] for option in OPTIONS if option.flag}
    given["config"] = parameters["config"]
    return {flag: value for flag, value in given.items() if value not in (None, ())}


@command.command()
@click.argument("name", required=False)
@_plugin_option
@click.option(
    "--fields", is_flag=True, help="What becomes of each field of a PodSpec, as Markdown."
)
def providers(name: str | None, plugin: Sequence[Path], fields: bool) -> int:
    """List the providers, or the configuration of one."""
    from vk.cli.providers import describe, show, show_fields

    if fields:
        show_fields(name, plugin)
    elif name is None:
        show(plugin)
    else:
        describe(name, plugin)
    return 0


@command.command("dev", short_help="Try a node on a small cluster in this process.")
@click.option("--provider", default="mock", show_default=True, help="Provider that runs the pods.")
@_plugin_option
@click.option("--provider-config", default="", help="The provider's file: TOML, YAML, JSON.")
@click.option("--set", multiple=True, help="KEY=VALUE of the provider's configuration; repeatable.")
@click.option(
    "--apply", multiple=True, help="Manifests to submit; '-': standard input; repeatable."
)
@click.option("--port", default="", help="Port of the API server; any that is free by default.")
@click.option("--state-folder", default="", help="Folder of kubeconfig and certificates.")
@click.option("--nodename", default="vk-dev", show_default=True, help="Name of the node.")
@click.option("--log-level", default="warning", show_default=True, help="What goes to the log.")
def dev_command(**flags: Any) -> int:
    """Start a small Kubernetes cluster in this process, with one node, until Ctrl-C.

    Shows nodes and pods as they change. Nothing is kept when it ends.
    """
    from vk.cli.dev.command import Flags, dev

    return dev(Flags(**flags))


@command.command("status", short_help="Show what a running node is busy with.")
@click.argument("node")
@click.option("--kubeconfig", default="", envvar="KUBECONFIG", help="Path of the kubeconfig.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
def status_command(node: str, kubeconfig: str, as_json: bool) -> int:
    """Show pods, retries, conditions and lease of NODE, asked through the API server."""
    from vk.cli.status import status

    return status(node, kubeconfig=kubeconfig, as_json=as_json)


@command.command("new-provider", short_help="Write a package with a provider to start from.")
@click.argument("name")
def new_provider_command(name: str) -> int:
    """Write the folder vk-NAME: an installable package with a provider NAME and its tests.

    Nothing is ever overwritten.
    """
    from vk.cli.new_provider import new_provider

    new_provider(name)
    return 0


@command.command("drain", short_help="End everything that a node runs.")
@click.argument("node")
@click.option("--kubeconfig", default="", envvar="KUBECONFIG", help="Path of the kubeconfig.")
@click.option("--delete-node", is_flag=True, help="Then remove Node and lease too.")
@click.option("--timeout", default="0", show_default=True, help="Give up after this; 0: never.")
def drain_command(node: str, kubeconfig: str, delete_node: bool, timeout: str) -> int:
    """Cordon NODE, evict its pods with their grace periods and wait until all have ended.

    With --delete-node it waits for the end of the node's process, then removes the Node.
    """
    from vk.cli.drain import drain

    try:
        seconds = values.duration(timeout)
    except ValueError as error:
        raise ConfigError(f"--timeout: expected {error}, not {timeout!r}") from error
    return drain(node, kubeconfig=kubeconfig, delete_node=delete_node, timeout=seconds)


@command.command("doctor", short_help="Check everything that a node needs.")
@_with_options
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_context
def doctor_command(context: click.Context, /, as_json: bool, **parameters: Any) -> int:
    """Check API server, permissions, clock, address and whatever the provider needs.

    Takes the same options, variables and files as the node itself, and changes nothing.
    """
    from vk.cli.doctor import doctor

    settings = build_settings({**context.meta[_FLAGS], **_flags(parameters)}, os.environ)
    return doctor(settings, as_json=as_json)


@command.command("gc", short_help="End workloads that no pod asks for.")
@_with_options
@click.option("--dry-run", is_flag=True, help="List them and end none; no lease is needed.")
@click.pass_context
def gc_command(context: click.Context, /, dry_run: bool, **parameters: Any) -> int:
    """End what the provider runs for the node and no pod asks for, each with proof.

    Takes the same options, variables and files as the node itself. A node that runs does the same
    by itself (--orphans), so its process must be stopped first.
    """
    from vk.cli.gc import gc

    settings = build_settings({**context.meta[_FLAGS], **_flags(parameters)}, os.environ)
    return gc(settings, dry_run=dry_run)


@command.command("rbac", short_help="Print the roles that a node needs.")
@_with_options
@click.option("--namespace", default="kube-system", show_default=True, help="Of the account.")
@click.option("--account", default="vk", show_default=True, help="Name of the ServiceAccount.")
@click.option("--every-node", is_flag=True, help="Let the roles hold whatever the node's name is.")
@click.pass_context
def rbac_command(
    context: click.Context,
    /,
    namespace: str,
    account: str,
    every_node: bool,
    **parameters: Any,
) -> int:
    """Print ServiceAccount, roles and bindings for a node with these settings, for kubectl apply.

    Takes the same options, variables and files as the node itself.
    """
    from vk.cli.rbac import rbac

    settings = build_settings({**context.meta[_FLAGS], **_flags(parameters)}, os.environ)
    return rbac(settings, namespace=namespace, name=account, every_node=every_node)


@command.command("lint", short_help="Say what a provider would make of pods.")
@click.option("-f", "--file", "files", multiple=True, required=True, help="Manifest; '-': stdin.")
@click.option("--provider", required=True, help="Provider that would run the pods.")
@_plugin_option
@click.option("--daemonsets", default="refuse", show_default=True, help="As the node is run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a pod.")
def lint_command(
    files: tuple[str, ...],
    provider: str,
    plugin: Sequence[Path],
    daemonsets: str,
    as_json: bool,
) -> int:
    """List each field of the pods in manifests that PROVIDER refuses, ignores or changes.

    Also of pods inside of Deployments, Jobs and the like. Exit code 1 when something is refused, 2
    when a file cannot be read.
    """
    from vk.cli.lint import lint

    return lint(files, provider=provider, plugins=plugin, daemonsets=daemonsets, as_json=as_json)


@command.command()
def version() -> int:
    """Print the version."""
    from vk._version import __version__

    click.echo(f"vk {__version__}")
    return 0


def main() -> NoReturn:
    """Entry point of the console script: runs the command and ends the process."""
    command.main()

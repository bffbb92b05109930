"""Writes the lists of parameters and of error codes into docs/alibabacloud.md, between its marks.

``python tools/eci_page.py``; ``--check`` exits with 1 where the page differs. The parameters are
those of ``CreateContainerGroup`` as the vendor describes them; `SENT` says what in a pod or in the
configuration becomes each, `NOT_SENT` why none does. A parameter that neither knows stops the
command. A test compares both with the requests of the golden files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from vk_providers.alibabacloud import errors
from vk_providers.alibabacloud.api_description import UNDESCRIBED, ParameterDescription, describe
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX, PRIVILEGED, RULES

PAGE = Path(__file__).parent.parent / "docs/alibabacloud.md"
ACTION = "CreateContainerGroup"
SENT: Mapping[str, str] = {
    "ActiveDeadlineSeconds": "`activeDeadlineSeconds`",
    "ClientToken": "the pod's UID and the number of the attempt",
    "Container.N.": "`containers[]` and native sidecars",
    "Container.N.Arg.N": "`args`",
    "Container.N.Command.N": "`command`",
    "Container.N.EnvironmentVar.N.": "`env`, `envFrom`",
    "Container.N.EnvironmentVarHide": "a variable from a Secret",
    "Container.N.Lifecycle": "`lifecycle.postStart`, `lifecycle.preStop`",
    "Container.N.LivenessProbe.": "`livenessProbe`",
    "Container.N.Port.N.": "`ports[]`",
    "Container.N.ReadinessProbe.": "`readinessProbe`",
    "Container.N.SecurityContext": "`securityContext`",
    "Container.N.TerminationMessage": "`terminationMessagePath`, `terminationMessagePolicy`",
    "Container.N.VolumeMount.N.": "`volumeMounts[]`",
    "ContainerGroupName": "the pod's namespace and name",
    "Cpu": "the sum of the containers' resources, rounded up to what is sold",
    "CpuArchitecture": "setting `architecture`",
    "DnsConfig.": "`dnsPolicy`, `dnsConfig`, the cluster's DNS",
    "DnsPolicy": "`dnsPolicy`, `dnsConfig`, the cluster's DNS",
    "EphemeralStorage": "`ephemeral-storage` beyond 30 GiB",
    "HostAliase.N.": "`hostAliases[]`",
    "HostName": "`hostname`, or the pod's name",
    "HostSecurityContext.Sysctl.N.": "`securityContext.sysctls[]` that are unsafe",
    "ImageRegistryCredential.N.": "`imagePullSecrets[]`",
    "InitContainer.N.": "`initContainers[]`",
    "Memory": "the sum of the containers' resources, rounded up to what is sold",
    "RegionId": "setting `region`",
    "ResourceGroupId": "setting `resource_group`",
    "RestartPolicy": "`restartPolicy`",
    "ScheduleStrategy": "more than one vSwitch",
    "SecurityContext.Sysctl.N.": "`securityContext.sysctls[]`",
    "SecurityGroupId": "setting `security_group`",
    "ShareProcessNamespace": "`shareProcessNamespace`",
    "Tag.N.": "identity of pod and node; labels",
    "TerminationGracePeriodSeconds": "`terminationGracePeriodSeconds`",
    "VSwitchId": "setting `vswitches`",
    "Volume.N.": "`volumes[]`",
    "Volume.N.ConfigFileVolume.": "`configMap`, `secret`, `downwardAPI`, `projected`",
    "Volume.N.EmptyDirVolume.": "`emptyDir`",
    "Volume.N.FlexVolume.": "`flexVolume`, `csi` of Alibaba Cloud, claims of disk, NAS and OSS",
    "Volume.N.NFSVolume.": "`nfs`",
}
"""What a parameter is made of, besides annotations. A name that is no parameter is a prefix."""
NOT_SENT: Mapping[str, str] = {
    "AcrRegistryInfo.N.Domain": "the instance's own domains are enough",
    "AcrRegistryInfo.N.InstanceName": "the id names the instance",
    "ContainerResourceView": "a group is a machine of its own: containers see the whole of it",
    "CpuOptionsNuma": "not described by the vendor",
    "DryRun": "a pod is not created twice; `vk lint` checks it before",
    "ImageAccelerateMode": "no annotation of the vendor's virtual nodes has it",
    "OsType": "Windows is in invitational preview there",
    "OverheadReservationOption.": "no annotation of the vendor's virtual nodes has it",
    "Owner": "the account of the access key is the owner",
    "ResourceOwner": "the account of the access key is the owner",
    "StrictSpot": "no annotation of the vendor's virtual nodes has it",
    "Volume.N.ConfigFileVolume.DefaultMode": "each file has its own mode",
    "Volume.N.DiskVolume.": "disks are mounted by the FlexVolume driver alicloud/disk",
    "Volume.N.HostPathVolume.": "`hostPath` is refused: a group has no machine that it shares",
    "ZoneId": "the vSwitch has its zone",
}
"""Why a parameter is not sent."""
_EXAMPLES: Mapping[str, str] = {
    "acr-instance-id": "cn-beijing:cri-x",
    "acr-instance-ids": "cn-beijing:cri-x",
    "acr-service-arns": "acs:ram::1:role/a",
    "acr-user-arns": "acs:ram::1:role/a",
    "eci-custom-dnsconfig": '{"nameservers":"a","searches":"b","options":"c:d"}',
    "eci-custom-hosts": '[{"host":"a","ip":"b"}]',
    "eci-custom-tags": "a:b",
    "eci-extra-ephemeral-storage": "50Gi",
    "eci-host-sysctls": '[{"name":"a","value":"b"}]',
    "eci-instance-type": "2-4Gi",
    "eci-use-specs": "2-4Gi",
    "kubernetes.io/egress-bandwidth": "40M",
    "kubernetes.io/ingress-bandwidth": "40M",
}
"""A value of each annotation that is not of a plain kind."""
_PLAIN = ("true", "1", "10", "a", "vsw-a", "NoSpot", "VSwitchOrdered", "BGP", "PL0", "general")


def parameters() -> str:
    """Return the list of parameters."""
    described = describe(ACTION).parameters
    annotated = _annotated()
    sent = dict[tuple[str, str], list[str]]()
    not_sent = dict[tuple[str, str], list[str]]()
    for name, facts in sorted(described.items()):
        if any(other.startswith(f"{name}.") for other in described):
            continue
        found = rule(name)
        reasons = [SENT[found]] if found in SENT else []
        reasons += annotated.get(name, [])
        if bool(reasons) == (found in NOT_SENT):
            raise SystemExit(f"{name}: expected in SENT or in NOT_SENT")
        rows = sent if reasons else not_sent
        text = "; ".join(reasons) or NOT_SENT[found]
        rows.setdefault((found or name, text), []).append(f"`{name}`{_limits(facts)}")
    lines = [
        f"`{ACTION}` has these parameters. What a pod asks for and no parameter can do is refused",
        "or noted, as [Supported fields](supported-fields.md) says.",
        "",
        "| parameter | what of a pod, or of the configuration, becomes it |",
        "|---|---|",
        *(f"| {'<br>'.join(names)} | {text} |" for (_, text), names in sent.items()),
        "",
        "| parameter | why it is not sent |",
        "|---|---|",
        *(f"| {'<br>'.join(names)} | {text} |" for (_, text), names in not_sent.items()),
        "",
        "The vendor's API description lacks these, which users need:",
        "",
        "| action | parameter | source | if the service refuses it |",
        "|---|---|---|---|",
        *(
            f"| `{one.action}` | `{one.name}` | {one.source} | {one.if_refused} |"
            for one in UNDESCRIBED
        ),
        "",
    ]
    return "\n".join(lines)


def rule(name: str) -> str:
    """Return the longest rule of a parameter: its name, or a beginning of it; empty for none."""
    rules = [*SENT, *NOT_SENT]
    matching = [one for one in rules if name == one or (_is_prefix(one) and name.startswith(one))]
    return max(matching, key=len, default="")


def _is_prefix(name: str) -> bool:
    described = describe(ACTION).parameters
    return name not in described or any(one.startswith(f"{name}.") for one in described)


def _annotated() -> dict[str, list[str]]:
    """Return the annotations of each parameter."""
    found = dict[str, list[str]]()
    for annotation, parse in RULES.items():
        tries = [_EXAMPLES[annotation]] if annotation in _EXAMPLES else _PLAIN
        names: set[str] = set()
        for text in tries:
            try:
                names = set(_names(parse(text), ""))
                break
            except ValueError:
                continue
        if not names:
            raise SystemExit(f"{annotation}: no value of _EXAMPLES or _PLAIN is right")
        prefix = "" if "/" in annotation else PREFIX
        closed = " (closed)" if annotation in PRIVILEGED else ""
        for name in names:
            found.setdefault(name, []).append(f"`{prefix}{annotation}`{closed}")
    return found


def _names(value: object, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key == "specs":
                yield "InstanceType"
            elif key == "AcrArns":
                yield from _names(child, "AcrRegistryInfo.N")
            else:
                yield from _names(child, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for child in value:
            yield from _names(child, f"{name}.N")
    elif value is not None:
        yield name


def _limits(facts: ParameterDescription) -> str:
    if facts.values:
        return ": " + ", ".join(facts.values)
    if facts.maximum is not None and facts.maximum < 2**53:
        return f": {facts.minimum} to {facts.maximum}"
    return ""


DONE: Mapping[type[Exception], str] = {
    errors.AccessError: "tried again after 30 s; no pod's fault",
    errors.ClockError: "signed by the service's time from then on, with a warning",
    errors.ConflictingTokenError: "the group of the token is found and adopted",
    errors.CredentialsError: "tried again after 30 s; no pod's fault",
    errors.DryRunError: "means success of a dry run",
    errors.GroupNotFoundError: "looked at again before it counts",
    errors.NoStockError: "next vSwitch and size after 30 s to 10 min",
    errors.QuotaError: "tried again after 5 min or more",
    errors.RequestRefusedError: "the pod fails",
    errors.StateError: "tried again",
    errors.ThrottlingError: "tried again, slower",
    errors.UnchangedError: "the change counts as done",
}
"""What vk does about each kind of error."""


def codes() -> str:
    """Return the list of error codes."""
    rows = [(f"`{code}`", kind, errors._hint(code)) for code, (kind, _) in errors._CODES.items()]
    rows += [(f"`{name}`...", kind, errors._hint(name)) for name, (kind, _) in errors._FAMILIES]
    lines = ["| code | what vk does | what to do |", "|---|---|---|"]
    lines += [f"| {code} | {DONE[kind]} | {hint} |" for code, kind, hint in rows]
    lines += [
        "| any other with status 4xx | refused: tried again after 60 s | |",
        "| 5xx, no answer | the outcome is unknown: looked up first | |",
        "",
    ]
    return "\n".join(lines)


def written(page: str) -> str:
    """Return the page with its lists as they are today."""
    for name, text in (("parameters", parameters()), ("codes", codes())):
        begin, end = f"<!-- {name}: written by tools/eci_page.py -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise SystemExit(f"{PAGE}: the marks of {name} are missing")
        whole = f"{begin}\n\n{text}\n{end}"
        page = pattern.sub(lambda _, whole=whole: whole, page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    before = PAGE.read_text()
    after = written(before)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(after)
    elif before != after:
        sys.exit(f"{PAGE}: out of date; run python tools/eci_page.py")

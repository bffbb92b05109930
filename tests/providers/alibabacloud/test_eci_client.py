"""The signature by the specification, not by the SDK; secrets; retries; credentials; the table."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vk
from vk_providers.alibabacloud import errors
from vk_providers.alibabacloud.api_description import describe
from vk_providers.alibabacloud.client import lower_keys, sign
from vk_providers.alibabacloud.credentials import ApiCredentials
from vk_providers.alibabacloud.endpoints import endpoint
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError, error_of
from vk_providers.alibabacloud.requests import build, flatten

CALLED = (
    "CreateContainerGroup",
    "DeleteContainerGroup",
    "DescribeContainerGroupPrice",
    "ExecContainerCommand",
    "TagResources",
    "UntagResources",
    "UpdateContainerGroup",
)
"""The actions that vk calls and for which the vendor documents errors."""
SECRET = "s3cr3t"
TOKEN = "sts-token-canary"


def recomputed(parameters: dict[str, str]) -> str:
    """Return the signature as the service's page on signing (RPC, version 1.0) says."""

    def encoded(text: str) -> str:
        return quote(text, safe="-_.~")

    signed = {name: value for name, value in parameters.items() if name != "Signature"}
    canonical = "&".join(f"{encoded(k)}={encoded(v)}" for k, v in sorted(signed.items()))
    text = f"POST&%2F&{encoded(canonical)}"
    digest = hmac.new(f"{SECRET}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def signed(parameters: dict[str, Any], *, token: str = "") -> tuple[dict[str, str], str, bytes]:
    credentials = ApiCredentials(access_key="ak", secret_key=SECRET, token=token)
    request = build("CreateContainerGroup", parameters)
    path, body = sign(request, credentials, region="cn-hangzhou")
    pairs = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    pairs += parse_qsl(body.decode(), keep_blank_values=True)
    return dict(pairs), path, body


@given(
    st.dictionaries(st.text("abcXYZ.1", min_size=1, max_size=8), st.text(max_size=20), max_size=5)
)
def test_the_signature_is_that_of_the_specification(more: dict[str, str]) -> None:
    parameters, _, _ = signed({"ContainerGroupName": "a b+c*~%/é", "Empty": "", **more})
    assert parameters["Signature"] == recomputed(parameters)
    assert parameters["Action"] == "CreateContainerGroup"
    assert parameters["Version"] == "2018-08-08"


def test_a_corrected_time_is_signed_and_stands_there_once() -> None:
    credentials = ApiCredentials(access_key="ak", secret_key=SECRET)
    request = build("CreateContainerGroup", {"ContainerGroupName": "x&Timestamp=y"})
    path, body = sign(request, credentials, region="cn-hangzhou", correction=86_400.0)
    pairs = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    pairs += parse_qsl(body.decode(), keep_blank_values=True)
    parameters = dict(pairs)
    assert len(parameters) == len(pairs)
    assert parameters["Signature"] == recomputed(parameters)
    there = datetime.fromisoformat(parameters["Timestamp"])
    assert (there - datetime.now(UTC)).total_seconds() == pytest.approx(86_400.0, abs=30.0)


def test_no_secret_is_in_the_url() -> None:
    secrets = {"Container": [{"EnvironmentVar": [{"Key": "K", "Value": "canary-value"}]}]}
    parameters, path, body = signed(secrets, token=TOKEN)
    assert parameters["SecurityToken"] == TOKEN
    assert parameters["Signature"] == recomputed(parameters)
    for canary in ("canary-value", TOKEN, SECRET):
        assert canary not in path
    assert b"canary-value" in body


def test_each_signature_is_used_once() -> None:
    one, _, _ = signed({})
    two, _, _ = signed({})
    assert one["SignatureNonce"] != two["SignatureNonce"]


def test_none_and_booleans_are_written_as_the_service_reads_them() -> None:
    """The SDK's setters write None and True as Python does."""
    parameters = {"A": None, "B": True, "C": False, "D": [], "E": {"F": None}, "G": 0.5, "H": 2.0}
    assert flatten(parameters) == {"B": "true", "C": "false", "G": "0.5", "H": "2"}


def test_the_registry_of_an_account_has_its_dot() -> None:
    """The SDK's setter writes ``AcrRegistryInfo.1Domain.1``."""
    parameters = {"AcrRegistryInfo": [{"Domain": ["d"], "InstanceId": "cri-a"}]}
    request = build("CreateContainerGroup", parameters)
    assert request.get_query_params() == {
        "AcrRegistryInfo.1.Domain.1": "d",
        "AcrRegistryInfo.1.InstanceId": "cri-a",
    }


def test_the_default_mode_of_files_has_its_name() -> None:
    """The SDK's setter writes ``DefaultModel``."""
    parameters = {"Volume": [{"ConfigFileVolume": {"DefaultMode": "0644"}}]}
    request = build("CreateContainerGroup", parameters)
    assert list(request.get_query_params()) == ["Volume.1.ConfigFileVolume.DefaultMode"]


def test_a_request_keeps_its_parameters_over_two_signings() -> None:
    request = build("DeleteContainerGroup", {"ContainerGroupId": "eci-a"})
    credentials = ApiCredentials(access_key="ak", secret_key=SECRET, token=TOKEN)
    first = sign(request, credentials, region="cn-hangzhou")[1]
    assert sign(request, credentials, region="cn-hangzhou")[1] == first


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Throttling", 400, errors.ThrottlingError),
        ("Throttling.User", 400, errors.ThrottlingError),
        ("Throttling.NewKind", 503, errors.ThrottlingError),
        ("", 429, errors.ThrottlingError),
        ("TooManyRequests", 429, errors.ThrottlingError),
        ("OperationDenied.NoStock", 403, errors.NoStockError),
        ("InvalidVSwitchId.IpNotEnough", 403, errors.NoStockError),
        ("QuotaExceeded", 403, errors.QuotaError),
        ("Account.Arrearage", 403, errors.QuotaError),
        ("InvalidParameter.NotFound", 404, errors.GroupNotFoundError),
        ("IncorrectStatus", 400, errors.StateError),
        ("IdempotentParameterMismatch", 400, errors.ConflictingTokenError),
        ("InvalidParameter", 400, errors.RequestRefusedError),
        ("MissingParameter", 400, errors.RequestRefusedError),
        ("Forbidden.RAM", 403, errors.AccessError),
        ("InvalidSecurityToken.Expired", 400, errors.CredentialsError),
        ("SignatureDoesNotMatch", 400, errors.CredentialsError),
        ("DryRunOperation", 400, errors.DryRunError),
        ("InternalError", 500, RequestOutcomeUnknownError),
        ("ServiceUnavailable", 503, RequestOutcomeUnknownError),
        ("UnknownError", 400, errors.UnknownRefusalError),
        ("InvalidParameter.SomethingNew", 400, errors.UnknownRefusalError),
        ("Request Timeout", 408, RequestOutcomeUnknownError),
        ("RequestTimeout", 408, RequestOutcomeUnknownError),
        ("", 502, RequestOutcomeUnknownError),
    ],
)
def test_codes_become_errors(code: str, status: int, kind: type[Exception]) -> None:
    answer = {"code": code, "requestid": "R-1"} if code else None
    error = error_of("CreateContainerGroup", status, answer)
    assert type(error) is kind
    assert "CreateContainerGroup" in str(error)


def test_only_errors_without_effect_are_provider_errors() -> None:
    """An unknown outcome is none of them: the core then looks before it tries again."""
    assert not issubclass(RequestOutcomeUnknownError, vk.ProviderError)


def test_an_error_has_action_code_request_id_and_hint_only() -> None:
    answer = {"code": "QuotaExceeded", "requestid": "R-1", "message": "canary of a parameter"}
    text = str(error_of("CreateContainerGroup", 403, answer))
    expected = "ask Alibaba Cloud for a larger quota, or run fewer pods"
    assert text == f"CreateContainerGroup: QuotaExceeded (request R-1): {expected}"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("The specified parameter Container.2.Cpu is not valid.", " for Container.2.Cpu"),
        ("The parameter InstanceType.", " for InstanceType"),
        ("The value Canary of Container.1.Canary is wrong.", ""),
        (None, ""),
    ],
)
def test_an_error_names_the_parameter_where_the_service_does(
    message: str | None, named: str
) -> None:
    answer = {"code": "InvalidParameter", "requestid": "R-1", "message": message}
    text = str(error_of("CreateContainerGroup", 400, answer))
    assert text == f"CreateContainerGroup: InvalidParameter{named} (request R-1)"


@pytest.mark.parametrize("action", CALLED)
def test_every_documented_code_has_its_kind(action: str) -> None:
    """A code of a new description fails here until it has an entry."""
    assert [code for code in describe(action).errors if errors._kind(code) is None] == []


def test_a_code_that_is_none_is_not_repeated() -> None:
    text = str(error_of("CreateContainerGroup", 400, {"code": "<html> password=x"}))
    assert text == "CreateContainerGroup: status 400"


def test_answers_are_read_in_any_casing() -> None:
    pascal = {"Data": [{"PodStatus": {"PodIP": "1"}}]}
    camel = {"data": [{"podStatus": {"podIP": "1"}}]}
    assert lower_keys(pascal) == lower_keys(camel) == {"data": [{"podstatus": {"podip": "1"}}]}


@pytest.mark.parametrize(
    ("product", "region", "network", "url"),
    [
        ("eci", "cn-hangzhou", "public", "https://eci.cn-hangzhou.aliyuncs.com"),
        ("eci", "ap-southeast-1", "vpc", "https://eci-vpc.ap-southeast-1.aliyuncs.com"),
        ("eci", "cn-shanghai-finance-1", "public", "https://eci.cn-shanghai-finance.aliyuncs.com"),
        ("sts", "us-east-1", "vpc", "https://sts-vpc.us-east-1.aliyuncs.com"),
    ],
)
def test_endpoints_follow_the_vendors_rule(
    product: str, region: str, network: str, url: str
) -> None:
    assert endpoint(product, region, network=network) == url


def test_a_region_cannot_lead_to_another_host() -> None:
    with pytest.raises(vk.ConfigError, match="region"):
        endpoint("eci", "evil.example.com/x")

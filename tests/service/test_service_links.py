"""The variables that Kubernetes sets for a Service of the product's name are no settings, and no typos."""

import logging

import pytest

from macaroon_cbat.cli.serve import serve_command
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.service.service_links import without_service_links

ADDRESS = "10.96.7.1"


def links(service: str, host: str = ADDRESS) -> dict[str, str]:
    """Return what the kubelet sets for a Service with two named ports (kubelet/envvars)."""
    shown = f"[{host}]" if ":" in host else host
    return {
        f"{service}_SERVICE_HOST": host,
        f"{service}_SERVICE_PORT": "8443",
        f"{service}_SERVICE_PORT_HTTPS": "8443",
        f"{service}_SERVICE_PORT_HTTP_METRICS": "9100",
        f"{service}_PORT": f"tcp://{shown}:8443",
        f"{service}_PORT_8443_TCP": f"tcp://{shown}:8443",
        f"{service}_PORT_8443_TCP_PROTO": "tcp",
        f"{service}_PORT_8443_TCP_PORT": "8443",
        f"{service}_PORT_8443_TCP_ADDR": host,
        f"{service}_PORT_53_UDP": f"udp://{shown}:53",
        f"{service}_PORT_53_UDP_PROTO": "udp",
        f"{service}_PORT_53_UDP_PORT": "53",
        f"{service}_PORT_53_UDP_ADDR": host,
        f"{service}_PORT_132_SCTP": f"sctp://{shown}:132",
        f"{service}_PORT_132_SCTP_PROTO": "sctp",
    }


SERVICES = ["MACAROON_CBAT", "MACAROON_CBAT_METRICS", "MACAROON_CBAT_GATEWAY", "MACAROON_CBAT_DATABASE_URL"]


@pytest.mark.parametrize("host", [ADDRESS, "fd00::7"], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("service", SERVICES)
def test_service_links_are_no_settings(tmp_path, caplog, service, host):
    """All that Kubernetes sets for a Service of such a name is left out, with one line in the log."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), **links(service, host)}
    with caplog.at_level(logging.WARNING):
        made = settings_from_environment(environment)
    assert made.operation.management_port is None
    [line] = caplog.messages
    assert "enableServiceLinks: false" in line
    assert service in line


def test_an_environment_without_links_is_not_mentioned(tmp_path, caplog):
    """Without such a Service the log says nothing."""
    settings_from_environment({"MACAROON_CBAT_DATA": str(tmp_path), "MACAROON_CBAT_MANAGEMENT_PORT": "9100"})
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("PORT", "8443", id="a port as a setting"),
        pytest.param("PORT", "tcp://10.0.0.1", id="no port"),
        pytest.param("PORT", "tcp://10.0.0.1:99999", id="a port that is none"),
        pytest.param("PORT", "tcp://db.example:5432", id="a host name"),
        pytest.param("PORT", "https://10.0.0.1:8443", id="another scheme"),
        pytest.param("PORT", "tcp://10.0.0.1:8443\n", id="a line end"),
        pytest.param("SERVICE_HOST", "auth.example", id="a host name as host"),
        pytest.param("SERVICE_PORT", "https", id="a name as a port"),
        pytest.param("SERVICE_PORT", "0", id="port 0"),
        pytest.param("PORT_8443_TCP", "tcp://10.0.0.1:9100", id="another port than its name's"),
        pytest.param("PORT_8443_TCP", "udp://10.0.0.1:8443", id="another protocol than its name's"),
        pytest.param("PORT_8443_TCP_PROTO", "udp", id="another protocol"),
        pytest.param("PORT_8443_TCP_PORT", "8444", id="another port"),
        pytest.param("PORT_8443_TCP_ADDR", "auth.example", id="no address"),
        pytest.param("PORT_8443_TLS", "tcp://10.0.0.1:8443", id="a protocol that is none"),
        pytest.param("SERVICE_HOSTS", ADDRESS, id="nearly the name"),
    ],
)
def test_a_look_alike_is_a_mistake(tmp_path, name, value):
    """A variable without both the name and the value of a service link is an unknown setting."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), f"MACAROON_CBAT_{name}": value}
    with pytest.raises(SettingsError, match=f"^unknown setting MACAROON_CBAT_{name}: "):
        settings_from_environment(environment)


@pytest.mark.parametrize("value", ["x", "tcp://x:1", "10.0.0.1:9100", ""])
def test_a_management_port_that_is_no_link_is_a_mistake(tmp_path, value):
    """MANAGEMENT_PORT is a setting: only an address of Kubernetes in it is left out."""
    with pytest.raises(SettingsError, match="MANAGEMENT_PORT"):
        settings_from_environment(
            {"MACAROON_CBAT_DATA": str(tmp_path), "MACAROON_CBAT_MANAGEMENT_PORT": value}
        )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ISUER", "ISSUER"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("TOKENS_LIFETIME", "TOKEN_LIFETIME"),
        ("MANAGMENT_PORT", "MANAGEMENT_PORT"),
    ],
)
def test_a_typo_is_told_the_nearest_setting(tmp_path, name, meant):
    """A misspelled setting is an error that names the one that was meant."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), f"MACAROON_CBAT_{name}": "1"}
    with pytest.raises(
        SettingsError, match=f"MACAROON_CBAT_{name}: unset it, or did you mean MACAROON_CBAT_{meant}\\?"
    ):
        settings_from_environment(environment)


@pytest.mark.parametrize(
    "name", ["DATA", "DATABASE_URL", "ISSUER", "WRAPPING_KEY", "TRUSTED_PROXIES", "CLIENT_CA", "AUDIT_LOG"]
)
def test_no_setting_is_lost(name):
    """A setting other than the management port is never taken for a service link, whatever its value."""
    given = {name: "tcp://10.0.0.1:8443"}
    assert without_service_links(given) == given


@pytest.mark.parametrize("name", ["HOST", "PORT", "WORKERS", "THREADS", "CERT", "KEY"])
def test_an_option_that_is_no_setting_is_named(name: str):
    """A variable for what `serve` takes as an option alone is no setting; the message names the option."""
    option = name.lower().replace("_", "-")
    with pytest.raises(SettingsError, match=f"MACAROON_CBAT_{name}: unset it, .* serve as --{option}$"):
        settings_from_environment({f"MACAROON_CBAT_{name}": "8443"})
    assert f"--{option}" in [known for parameter in serve_command.params for known in parameter.opts]

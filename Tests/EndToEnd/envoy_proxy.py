"""An Envoy proxy before a server: stock gRPC infrastructure, between a client and us."""

import json
import pathlib
import subprocess
import time
import urllib.request

import pytest

LOOPBACK = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def binary() -> pathlib.Path:
    import envoy

    path = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
    path.chmod(0o755)
    if subprocess.run([path, "--version"], capture_output=True).returncode != 0:
        pytest.skip("Envoy's binary does not run on this machine")
    return path


def cluster(port, ca=None, health_service=None) -> dict:
    """An upstream on 127.0.0.1, with TLS where `ca` is given and with gRPC health checks of a service."""
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    made = {
        "name": "server",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        # Where all are unhealthy none is asked.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    if ca:
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "validation_context": {"trusted_ca": {"filename": str(ca)}},
                },
            },
        }
    if health_service is not None:
        made["health_checks"] = [
            {
                "timeout": "5s",
                "interval": "0.1s",
                "no_traffic_interval": "0.1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": health_service},
            }
        ]
    return made


def configuration(upstream) -> dict:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    # No time limit but the caller's, in grpc-timeout.
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {
                                "cluster": "server",
                                "timeout": "0s",
                                "max_stream_duration": {"grpc_timeout_header_max": "0s"},
                            },
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "admin": {"address": LOOPBACK},
        "static_resources": {
            "listeners": [{"name": "ingress", "address": LOOPBACK, "filter_chains": [{"filters": filters}]}],
            "clusters": [upstream],
        },
    }


class Envoy:
    """A proxy on a free port before one upstream: `with Envoy(directory, cluster(...)) as proxy: proxy.address`."""

    def __init__(self, directory, upstream):
        self.directory = pathlib.Path(directory)
        self.upstream = upstream

    def __enter__(self) -> "Envoy":
        path = self.directory / "envoy.json"
        path.write_text(json.dumps(configuration(self.upstream)))
        admin = self.directory / "envoy.admin"
        self.log = open(self.directory / "envoy.log", "w")
        command = [
            binary(), "-c", path, "--admin-address-path", admin, "--use-dynamic-base-id", "--concurrency", 1, "-l", "warn",
        ]  # fmt: skip
        self.process = subprocess.Popen(list(map(str, command)), stdout=self.log, stderr=self.log)
        try:
            self.wait_for(lambda: admin.exists() and admin.read_text().strip(), "its admin address")
            self.admin = admin.read_text().strip()
            self.wait_for(lambda: self.ask("ready") == "LIVE", "ready")
            listener = json.loads(self.ask("listeners?format=json"))["listener_statuses"][0]["local_address"]
        except BaseException:
            self.__exit__()
            raise
        self.address = f"127.0.0.1:{listener['socket_address']['port_value']}"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def ask(self, path) -> str:
        """What the admin interface says; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}/{path}", timeout=10) as answer:
                return answer.read().decode().strip()
        except OSError:
            return ""

    def is_healthy(self) -> bool:
        return "::health_flags::healthy" in self.ask("clusters")

    def wait_for(self, is_so, what, seconds=60):
        until = time.monotonic() + seconds
        while not is_so():
            assert self.process.poll() is None, (self.directory / "envoy.log").read_text()
            assert time.monotonic() < until, f"Envoy: not {what}\n{(self.directory / 'envoy.log').read_text()}"
            time.sleep(0.05)

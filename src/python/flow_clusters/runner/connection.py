"""The scheduler that a run is given: its address, its certificates, and whether it can be reached."""

import socket
import ssl

from .report import Known

REACH_SECONDS = 5
DEFAULT_PORT = 8786


class Connection:
    """`order` is the `go` of the extension."""

    def __init__(self, order):
        self.address = order["address"]
        self._pem = order.get("security")
        self._scheme, _, self._place = self.address.partition("://")
        if self._scheme == "gateway":
            import dask_gateway.comm  # noqa: F401 - tells Dask of the scheme
        self._security = None

    @property
    def encrypted(self):
        return self._scheme in ("tls", "wss", "gateway")

    @property
    def security(self):
        """`distributed.Security` for it: of the certificates that came with it, else as Dask is configured."""
        if self._security is None:
            from distributed import Security

            self._security = Security(**_keywords(self._pem)) if self._pem and self.encrypted else Security()
        return self._security

    def options(self, given=None):
        """Keyword arguments for a client of it: those `given`, but not the certificates of another scheduler."""
        chosen = dict(given or {})
        if not self.encrypted:
            chosen.pop("security", None)
        elif self._pem:
            chosen["security"] = self.security
        return chosen

    def reach(self):
        """Fails soon, and in words, when no scheduler listens there; a Dask client would try for half a minute."""
        if self._scheme not in ("tcp", "tls", "ws", "wss", "gateway"):
            return
        try:
            with socket.create_connection(self._host_and_port(), REACH_SECONDS) as plain:
                if self.encrypted:
                    self._greet(plain)
        except (OSError, ValueError) as error:
            raise Known("unreachable", "The scheduler at %s does not answer: %s." % (self.address, error), error)

    def _host_and_port(self):
        host, _, port = self._place.partition("/")[0].rpartition(":")
        if not host or host.endswith(":"):  # no port was given; `::1` is a host alone
            host, port = self._place.partition("/")[0], DEFAULT_PORT
        return host.strip("[]"), int(port)

    def _greet(self, plain):
        context = self.security.get_connection_args("client").get("ssl_context")
        if context is None:
            message = "The scheduler at %s wants certificates, and none are given: Dask needs those of the client too."
            raise Known("unreachable", message % self.address)
        name = "daskgateway-" + self._place.partition("/")[2] if self._scheme == "gateway" else None
        with context.wrap_socket(plain, server_hostname=name) as secure:
            # With TLS 1.3 a certificate that is refused is told after the handshake, in place of the greeting.
            if self._scheme in ("tls", "gateway") and not secure.recv(1):
                raise ssl.SSLError("it hung up")


def _keywords(pem):
    """`{ca, cert, key}` as texts; the key may be part of the certificate."""
    cert = pem.get("cert")
    return {
        "tls_ca_file": pem["ca"],
        "tls_client_cert": cert,
        "tls_client_key": pem.get("key") or cert,
        "require_encryption": True,
    }

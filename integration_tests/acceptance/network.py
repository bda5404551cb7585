"""What stands between the connector and the API in some tests: names, certificates, a proxy."""

import datetime
import http.server
import socket
import socketserver
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class SilentApi:
    """Takes requests and never answers."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._asked = threading.Event()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._asked.set()

    def wait_for_a_request(self) -> None:
        assert self._asked.wait(timeout=60), "nobody asked"

    def close(self) -> None:
        for open_socket in [self._listener, *self._connections]:
            open_socket.close()


class NameServer:
    """Answers every question for an address with 127.0.0.1, and every other one with nothing.

    It listens on an address that is loopback, too, but that nobody else uses for names.
    """

    ADDRESS = "127.0.0.153"
    A_RECORD = 1

    def __init__(self):
        self.asked: set[str] = set()
        names = self

        class Question(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, reply_to = self.request
                reply_to.sendto(names._answer(query), self.client_address)

        self._server = socketserver.UDPServer((self.ADDRESS, 53), Question)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, query: bytes) -> bytes:
        name, end = [], 12
        while query[end]:
            name.append(query[end + 1 : end + 1 + query[end]].decode())
            end += 1 + query[end]
        question = query[12 : end + 5]
        self.asked.add(".".join(name))
        wants_address = int.from_bytes(question[-4:-2]) == self.A_RECORD
        header = query[:2] + b"\x81\x80\x00\x01" + bytes([0, wants_address]) + bytes(4)
        # The name by reference to the question, type A, class IN, 60 s, four bytes.
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes([127, 0, 0, 1])
        return header + question + record * wants_address

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class TlsFront:
    """The fake API behind https, under a name, with a certificate that nobody knows."""

    NAME = "api.hms.test"

    def __init__(self, api_url: str, folder: Path):
        self.certificate = folder / "ca.pem"
        key = folder / "key.pem"
        self._make_certificate(key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler(api_url))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"https://{self.NAME}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _make_certificate(self, key_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.NAME)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(self.NAME)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.certificate.write_bytes(certificate.public_bytes(pem))
        self.certificate.chmod(0o644)
        key_path.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def _handler(self, api_url: str) -> type:
        class Forward(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                request = urllib.request.Request(
                    api_url + self.path, headers={"Authorization": self.headers["Authorization"]}
                )
                try:
                    answer = urllib.request.urlopen(request)
                except urllib.error.HTTPError as refusal:
                    answer = refusal
                body = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Forward

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy:
    """A proxy that opens tunnels, all of them to the port it was given."""

    def __init__(self, to_port: int):
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(connection,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return
            head += piece
        self.asked.append(head.split(b"\r\n")[0].decode())
        server = socket.create_connection(("127.0.0.1", self._to_port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        _pump(server, client)

    def close(self) -> None:
        self._listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side has gone, and the other will see it

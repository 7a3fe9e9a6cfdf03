"""Logins by a realm of OpenID Connect, as Keycloak is one, with the PyJWT of today."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.label.app.conftest import LEAKING, phantom_program, phantoms

pytestmark = pytest.mark.filterwarnings(LEAKING)
ROLES = {"reader": ["monailabel-user"], "annotator": ["monailabel-user", "monailabel-annotator"]}


@dataclass(frozen=True)
class Realm:
    """A realm that knows two users; a password is the name backwards."""

    url: str
    key: rsa.RSAPrivateKey

    def token(self, name: str, seconds: float = 600, key: rsa.RSAPrivateKey | None = None) -> str:
        content = {"preferred_username": name, "realm_access": {"roles": ROLES[name]}, "exp": time.time() + seconds}
        return jwt.encode(content, key or self.key, algorithm="RS256")


@pytest.fixture
def realm() -> Iterator[Realm]:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.endswith("openid-configuration")
            self._answer(
                200,
                {"token_endpoint": f"{made.url}/token"} if known else {"public_key": base64.b64encode(public).decode()},
            )

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            name, password = form["username"][0], form["password"][0]
            if password != name[::-1]:
                self._answer(401, {"error": "invalid_grant"})
            else:
                self._answer(200, {"access_token": made.token(name), "token_type": "bearer"})

        def _answer(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        made = Realm(f"http://127.0.0.1:{http.server_port}", key)
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield made
        http.shutdown()
        thread.join()


def test_a_token_of_the_realm_opens_what_its_roles_may(server, client, realm, tmp_path):
    """As 3D Slicer logs in. The stock server refuses every token beside PyJWT 2."""
    data = phantoms(tmp_path)
    environment = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm.url}
    made = server(program=phantom_program(data.studies), environment=environment)
    slicer = client(made)
    assert slicer.auth_enabled() is True
    assert requests.get(f"{made.url}/info/", timeout=60).status_code == 401

    wrong = requests.post(f"{made.url}/auth/token", data={"username": "reader", "password": "x"}, timeout=60)
    assert (wrong.status_code, wrong.json()["detail"]) == (401, "the login was refused")
    slicer.update_auth(slicer.auth_token("annotator", "rotatonna"))
    assert slicer.auth_valid_token() is True
    assert slicer.info()["labels"] == ["atrium"]
    study = slicer.next_sample("random", {})["id"]
    slicer.save_label(study, str(data.labels[study]), params={"label_info": [{"name": "atrium", "idx": 1}]})

    def status(token: str, path: str = "/info/", method: str = "GET") -> int:
        headers = {"Authorization": f"bearer {token}"}
        return requests.request(method, made.url + path, headers=headers, timeout=60).status_code

    assert status(realm.token("reader")) == 200
    assert status(realm.token("reader"), "/train/phantom", "POST") == 403
    assert status(realm.token("annotator"), "/model/phantom") == 403
    assert status(realm.token("reader", seconds=-10)) == 401
    assert status(realm.token("reader", key=rsa.generate_private_key(65537, 2048))) == 401
    unsigned = jwt.encode(
        {"preferred_username": "x", "realm_access": {"roles": ROLES["reader"]}}, None, algorithm="none"
    )
    assert status(unsigned) == 401

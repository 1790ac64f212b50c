"""Identity tokens of everybody who deploys: a service account's key, a workflow without one, and a person."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import identity_pool

import mlops_cls as mc
from google_services import google_services
from mlops_cls.google_cloud import identity

AUDIENCE = "https://skin.run.app"
ACCOUNT = "deployer@lab.iam.gserviceaccount.com"
IMPERSONATED = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
ASKED = f"POST /iamcredentials/v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"


def part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_a_service_account_gets_a_token_for_another_audience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    token = f"{part({'alg': 'RS256'})}.{part({'exp': 4102444800})}.{part({})}"
    with google_services({"POST /token": {"id_token": token}}) as services:
        info = {
            "type": "service_account",
            "client_email": ACCOUNT,
            "private_key": key.private_bytes(*form).decode(),
            "token_uri": f"{services.address}/token",
        }
        (tmp_path / "key.json").write_text(json.dumps(info))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        assert identity.identity_token(AUDIENCE) == token
    ((_, form_sent),) = services.asked
    claims = form_sent.decode().partition("assertion=")[2].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["target_audience"] == AUDIENCE


def test_a_workflow_without_a_key_cannot_ask_the_service_that_it_deploys(monkeypatch: pytest.MonkeyPatch) -> None:
    found = identity_pool.Credentials(
        audience="//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/github/providers/github",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        credential_source={"file": "token"},
        service_account_impersonation_url=IMPERSONATED,
    )
    with google_services({ASKED: [{"token": "a.b.c"}, 403]}) as services:
        monkeypatch.setenv("MLOPS_CLS_GOOGLE", services.address)
        assert identity._of_account(found, AUDIENCE) == "a.b.c"
        with pytest.raises(mc.ConfigError, match=r"roles/iam\.serviceAccountOpenIdTokenCreator"):
            identity._of_account(found, AUDIENCE)
    assert services.asked[0] == (ASKED, {"audience": AUDIENCE, "includeEmail": True})


def test_a_person_is_not_told_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(mc.ConfigError, match="gcloud auth login"):
        identity._of_person()
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\n[ "$*" = "auth print-identity-token" ] && echo a.b.c\n')
    gcloud.chmod(0o755)
    assert identity._of_person() == "a.b.c"
    gcloud.write_text("#!/bin/sh\necho there is no account >&2\nexit 1\n")
    with pytest.raises(mc.ConfigError, match="there is no account"):
        identity._of_person()

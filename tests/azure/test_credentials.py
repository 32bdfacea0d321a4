"""What a client may prove itself with, and where."""

from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

from clew.azure import AgentsClient, AIProjectClient
from clew.testing.server import RunningServer


class Token:
    """A token credential that gives the server's key."""

    def __init__(self, key: str) -> None:
        self.key = key

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert scopes == ("https://ai.azure.com/.default",)
        return AccessToken(self.key, 2**40)


@pytest.mark.parametrize("make", [str, AzureKeyCredential, Token])
def test_any_credential_works_over_http_on_this_machine(clew_server: RunningServer, make: Any) -> None:
    with AIProjectClient(clew_server.project_endpoint, make(clew_server.api_key)) as project:
        assert project.agents.threads.create().id.startswith("thread_")
    with AgentsClient(clew_server.project_endpoint, make(clew_server.api_key)) as agents:
        assert agents.threads.create().id.startswith("thread_")


def test_a_wrong_key_is_refused(clew_server: RunningServer) -> None:
    with (
        AIProjectClient(clew_server.project_endpoint, "wrong") as project,
        pytest.raises(HttpResponseError) as raised,
    ):
        project.agents.threads.create()
    assert raised.value.status_code == 401


def test_a_key_does_not_go_to_another_machine_in_clear() -> None:
    endpoint = "http://clew.example/api/projects/p"
    with pytest.raises(ValueError, match="plain http on another machine"):
        AIProjectClient(endpoint, "key")
    AIProjectClient(endpoint, "key", enforce_https=False).close()
    AIProjectClient("https://clew.example/api/projects/p", "key").close()
    with (
        AIProjectClient(endpoint, Token("key")) as project,
        pytest.raises(ServiceRequestError, match="https"),
    ):
        project.agents.threads.create()


def test_a_policy_of_the_callers_own_is_kept(clew_server: RunningServer) -> None:
    credential = AzureKeyCredential(clew_server.api_key)
    policy = AzureKeyCredentialPolicy(credential, "Authorization", prefix="Bearer")
    with AIProjectClient(clew_server.project_endpoint, credential, authentication_policy=policy) as project:
        assert project.agents.threads.create().id.startswith("thread_")


def test_https_with_the_servers_authority() -> None:
    with (
        RunningServer(tls=True, model_url="http://127.0.0.1:1/v1") as server,
        AIProjectClient(
            server.project_endpoint, server.api_key, connection_verify=str(server.ca_bundle)
        ) as project,
    ):
        assert project.agents.threads.create().id.startswith("thread_")

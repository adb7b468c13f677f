"""The description of the API is whole: what it says of each route, and an example of each model."""

from collections.abc import Iterator

import jsonschema_rs
import pytest

from ci_server.examples import EXAMPLES, PARAMETERS
from tests import plain_http
from tests.contract.http_harness import running_server

_METHODS = {"get", "head", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def description(tmp_path_factory) -> dict:
    with running_server(tmp_path_factory.mktemp("description")) as server:
        return server.get("/schema/openapi.json").json()


def operations(description: dict) -> Iterator[tuple[str, dict]]:
    for path, item in description["paths"].items():
        for method in _METHODS & set(item):
            yield f"{method} {path}", item[method]


def answers(description: dict) -> Iterator[tuple[str, str, dict]]:
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            yield name, status, answer


def has_few_values(schema: dict, models: dict) -> bool:
    (choice,) = schema.get("allOf", [schema])
    model = models[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice
    return "enum" in model or model.get("type") == "boolean"


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(description):
    ids = [operation["operationId"] for _, operation in operations(description)]
    assert len(ids) == len(set(ids)) > 10
    for name, operation in operations(description):
        assert operation.get("summary"), name
        assert operation.get("tags"), name


def test_every_parameter_and_every_answer_is_explained(description):
    for name, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), f"{name}: {parameter['name']}"
    for name, status, answer in answers(description):
        assert answer.get("description"), f"{name}: {status}"


def test_every_failure_is_a_problem_document(description):
    for name, status, answer in answers(description):
        if int(status) >= 400 and not name.endswith("/ready"):
            assert list(answer["content"]) == ["application/problem+json"], f"{name}: {status}"


def test_no_parameter_is_null(description):
    for name, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            assert {"type": "null"} not in parameter["schema"].get("oneOf", []), name


def test_every_model_has_an_example_that_is_one(description):
    models = description["components"]["schemas"]
    objects = {name for name, model in models.items() if model.get("type") == "object"}
    assert objects - set(EXAMPLES) == set()
    assert set(EXAMPLES) - set(models) == set()
    for name in objects:
        (example,) = models[name]["examples"]
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        jsonschema_rs.validator_for(schema).validate(example)


def test_every_parameter_with_many_values_has_an_example_that_is_one(description):
    named = set()
    for name, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            schema = {**parameter["schema"], "components": description["components"]}
            named |= {parameter["name"], f"{operation['operationId']} {parameter['name']}"}
            if has_few_values(schema, description["components"]["schemas"]):
                continue
            assert "example" in parameter, f"{name}: {parameter['name']}"
            jsonschema_rs.validator_for(schema).validate(parameter["example"])
    assert set(PARAMETERS) - named == set()


def test_options_tells_all_methods_of_a_path(tmp_path):
    with running_server(tmp_path) as server:
        allowed = plain_http.options(f"{server.url}/api/v1/jobs/last").headers["Allow"]
        assert allowed == "DELETE, GET, OPTIONS"
        assert plain_http.options(f"{server.url}/jobs/last").headers["Allow"] == "GET, OPTIONS"


@pytest.mark.parametrize(
    "asked", ["jobs?success=null", "events/history?after=null", "webhooks/dead?cursor=Null"]
)
def test_null_is_not_the_same_as_nothing(tmp_path, asked):
    with running_server(tmp_path) as server:
        answer = server.get(f"/api/v1/{asked}")
        assert answer.status_code == 400
        assert "null is no value" in answer.json()["detail"]
        # Where any text is one, so is this.
        assert server.get("/api/v1/jobs?text=null").status_code == 200


def test_a_body_is_taken_as_it_is_described(tmp_path):
    with running_server(tmp_path) as server:
        address = {"url": "https://hooks.example/ci"}
        hook = plain_http.post(f"{server.url}/api/v1/webhooks", json=address).json()
        path = f"{server.url}/api/v1/webhooks/{hook['id']}"
        answer = plain_http.patch(path, json={"enabled": 0})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "enabled" in answer.json()["detail"]
        assert plain_http.patch(path, json={"enabled": False}).json()["enabled"] is False
        assert plain_http.patch(path, json={"unknown": 1}).status_code == 400

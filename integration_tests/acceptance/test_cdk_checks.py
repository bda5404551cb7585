"""The CDK's checks on spec, catalog, records and secrets, run on the bare binary.

The CDK offers them only as part of its suites; here they are called one by one, with nothing left
out: what its suites report as a warning fails here.
"""

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.test.entrypoint_wrapper import EntrypointOutput
from airbyte_cdk.test.standard_tests import _catalog_checks, _read_assertions, _spec_lint

from connector import STREAMS, configured

NAME = "source-100ms"


def as_cdk(output) -> EntrypointOutput:
    return EntrypointOutput(messages=output.stdout.splitlines(), stderr=output.stderr)


@pytest.fixture(scope="module")
def spec(connector):
    return _spec_lint.get_single_spec(as_cdk(connector.spec()), connector_name=NAME)


def test_spec_passes_the_lint(spec):
    _spec_lint.assert_spec_is_valid(spec, connector_name=NAME)


def test_catalog_has_no_problem(connector, config):
    catalog = as_cdk(connector.discover(config)).catalog.catalog
    problems = _catalog_checks.find_catalog_problems(catalog)
    assert not problems, _catalog_checks.format_catalog_problems(problems)
    assert {stream.name for stream in catalog.streams} == set(STREAMS)


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
def test_records_match_the_catalog(connector, config, catalog, sync_mode):
    chosen = configured(catalog, sync_mode)
    output = connector.read(config, chosen)
    assert output.code == 0 and not output.errors() and output.stderr == "", output
    _read_assertions.assert_read_records(
        records=as_cdk(output).records,
        configured_catalog=ConfiguredAirbyteCatalogSerializer.load(chosen),
        require_records_per_stream=True,
        validate_schema=True,
    )


@pytest.mark.parametrize("credentials", ["config", "token_config"])
@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_no_secret_of_the_config_leaves(connector, catalog, spec, request, credentials, command):
    config = request.getfixturevalue(credentials)
    files = {"config": config} | ({"catalog": configured(catalog)} if command == "read" else {})
    output = connector.run_with(command, **files)
    assert output.code == 0, output
    _spec_lint.assert_no_secrets_in_output(
        as_cdk(output), spec=spec, config=config, verb=command, connector_name=NAME
    )


@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_no_secret_of_the_workspace_leaves(connector, fake, config, catalog, command):
    """Stream keys, storage credentials, webhook headers: the API hands them out, we do not."""
    files = {"config": config} | ({"catalog": configured(catalog)} if command == "read" else {})
    output = connector.run_with(command, **files)
    assert output.code == 0, output
    leaked = [s for s in fake.secrets() if s in output.stdout or s in output.stderr]
    assert not leaked

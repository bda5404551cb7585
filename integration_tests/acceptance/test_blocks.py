"""Every block of code in the documentation is accounted for: it is run, checked against what it names, or no code."""

import re
import shlex
import subprocess

import pytest
import yaml

from pages import all_blocks, blocks, section

# Page, heading, language and first words of each block, and what takes care of it:
# - the program that runs it as it is written, which names the heading: a file of tests, or one of `.ci/run`;
# - CHECKED: it needs an account, a registry, a cluster or a scheduler, and a test below checks each name in it;
# - SHOWN: it is not code.
CHECKED, SHOWN = "checked", "shown"
FIRST_MINUTES = "integration_tests/first-minutes"
WALKTHROUGH = "Try it without a 100ms account"
STEP_1 = "Step 1: Add the connector to your platform"
BLOCKS = {
    ("README.md", "Try it", "sh", "cargo demo"): FIRST_MINUTES,
    ("README.md", "Try it", "sh", "cargo demo -- --keep"): FIRST_MINUTES,
    ("README.md", "Use it", "sh", "(umask 077"): FIRST_MINUTES,
    ("README.md", "With cargo", "sh", "cargo build"): FIRST_MINUTES,
    ("README.md", "With Docker", "sh", "docker build"): "test_readme.py",
    ("README.md", "On a platform", "sh", "target/release/source-100ms spec"): FIRST_MINUTES,
    ("docs/100ms.md", STEP_1, "sh", "docker build"): "test_platform_path.py",
    ("docs/100ms.md", STEP_1, "sh", "export AIRBYTE_CLIENT_ID"): "test_platform_path.py",
    ("docs/100ms.md", "GDPR", "sh", "SALT="): "test_docs.py",
    ("docs/100ms.md", "By hand", "sh", "source-100ms check"): "test_walkthrough.py",
    # Only the first word of the first one is looked at, because it compiles and installs what `run` has made.
    ("docs/100ms.md", WALKTHROUGH, "sh", "cargo build"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "target/release/fake-100ms"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "target/release/source-100ms check"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "export AIRBYTE_OFFLINE_MODE"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "curl"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "cat > sessions.sql"): "test_walkthrough.py",
    ("docs/100ms.md", WALKTHROUGH, "sh", "kill"): "test_walkthrough.py",
    ("docs/runners.md", "PyAirbyte", "python", "import json"): "test_runners.py",
    ("docs/runners.md", "PyAirbyte", "sql", "ALTER DATABASE"): "test_runners.py",
    ("docs/runners.md", "PyAirbyte", "python", "import os"): "test_runners.py",
    ("docs/runners.md", "PyAirbyte", "sql", "SELECT CAST"): "test_runners.py",
    ("docs/runners.md", "airbyte-serverless", "yaml", "source:"): "test_runners.py",
    ("docs/runners.md", "airbyte-serverless", "sh", "abs list-available-streams"): "test_runners.py",
    # Its newest Python is too old for the tests, and its installation needs a repository.
    ("docs/runners.md", "Meltano", "yaml", "plugins:"): "test_runners.py",
    ("docs/runners.md", "Meltano", "sh", "meltano run"): CHECKED,
    ("docs/runners.md", "Docker alone, and cron", "sh", "docker run"): "test_runners.py",
    ("docs/runners.md", "Docker alone, and cron", "text", "17 * * * *"): CHECKED,
    ("docs/runners.md", "Kubernetes CronJob", "yaml", "apiVersion:"): "test_runners.py",
    ("docs/runners.md", "Kubernetes CronJob", "sh", "kubectl"): CHECKED,
    ("docs/runners.md", "Airflow's DockerOperator", "python", "import datetime"): "test_runners.py",
    ("docs/analytics.md", "After the demo", "sh", "cargo demo"): "test_dashboard.py",
    ("docs/analytics.md", "After the demo", "python", "import duckdb"): "test_dashboard.py",
    # DuckDB's own program comes from no package index that can be pinned.
    ("docs/analytics.md", "After the demo", "console", "$ duckdb"): SHOWN,
    ("docs/analytics.md", "In your dbt project", "yaml", "packages:"): "test_analytics.py",
    ("docs/analytics.md", "In your dbt project", "yaml", "vars:"): "test_analytics.py",
    ("docs/analytics.md", "In your dbt project", "mermaid", "erDiagram"): SHOWN,
    # A small run of it, and each flag is looked up in its help.
    ("docs/performance.md", "See it again", "sh", "cargo benchmark"): ".ci/run",
    ("docs/architecture.md", "Architecture", "text", "src/api"): SHOWN,
    ("docs/architecture.md", "The central idea: slices", "json", '{"updated_at"'): "test_docs.py",
}


@pytest.fixture(scope="module")
def pages(root) -> dict[str, str]:
    """Each page that belongs to the project, by its path."""
    tracked = subprocess.run(["git", "-C", root, "ls-files", "*.md"], capture_output=True, text=True, check=True)
    return {path: (root / path).read_text() for path in tracked.stdout.split()}


def test_no_block_is_forgotten(pages):
    found = [(path, *block) for path, page in pages.items() for block in all_blocks(page)]
    left = dict.fromkeys(BLOCKS)
    for path, heading, language, text in found:
        mine = [key for key in left if key[:3] == (path, heading, language) and text.lstrip().startswith(key[3])]
        assert mine, f"nothing runs this block of {path}, under {heading}: {text}"
        # `cargo demo` is also how the next one begins.
        left.pop(min(mine, key=lambda key: len(text) - len(key[3])))
    assert not left, f"not in the documentation any more: {list(left)}"


def test_who_runs_a_block_names_its_heading(root):
    for (path, heading, _, _), runner in BLOCKS.items():
        if runner in (CHECKED, SHOWN):
            continue
        file = root / runner if "/" in runner else root / "integration_tests/acceptance" / runner
        said = file.read_text()
        named = f'"{heading}"' in said
        assert named or (runner == ".ci/run" and path in said), (path, heading, runner)


def test_only_what_is_no_program_is_just_shown():
    assert {key[2] for key, runner in BLOCKS.items() if runner == SHOWN} <= {"console", "text", "mermaid"}


def test_every_shell_block_can_be_parsed(pages):
    for path, page in pages.items():
        for heading, language, text in all_blocks(page):
            if language == "sh":
                parsed = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
                assert parsed.returncode == 0 and not parsed.stderr, (path, heading, parsed.stderr)


def test_programs_of_the_project_are_where_the_blocks_say(pages, root):
    for path, page in pages.items():
        for heading, language, text in all_blocks(page):
            if language == "sh":
                told = re.findall(r"^((?:platform|analytics|integration_tests|fuzz)/[\w/-]+)", text, re.MULTILINE)
                for program in told:
                    assert (root / program).stat().st_mode & 0o111, (path, heading, program)


def runner(pages: dict, heading: str, language: str) -> list[str]:
    return blocks(section(pages["docs/runners.md"], heading), language)


def test_meltano_runs_the_plugin_of_the_file(pages):
    [file], [command] = runner(pages, "Meltano", "yaml"), runner(pages, "Meltano", "sh")
    [extractor] = yaml.safe_load(file)["plugins"]["extractors"]
    assert shlex.split(command) == ["meltano", "run", extractor["name"], "target-jsonl"]


def test_the_secret_for_kubernetes_is_the_one_that_the_manifest_mounts(pages):
    [manifest], [command] = runner(pages, "Kubernetes CronJob", "yaml"), runner(pages, "Kubernetes CronJob", "sh")
    pod = yaml.safe_load(manifest)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [secret] = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    [config] = [argument for argument in pod["containers"][0]["args"] if argument.startswith("--config=")]
    file = config.rsplit("/", 1)[1]
    assert shlex.split(command) == ["kubectl", "create", "secret", "generic", secret, f"--from-file={file}"]


def test_cron_kubernetes_and_airflow_have_one_schedule_and_one_folder(pages):
    [line] = runner(pages, "Docker alone, and cron", "text")
    *times, script, _, _, _ = line.split()
    [manifest], [dag] = runner(pages, "Kubernetes CronJob", "yaml"), runner(pages, "Airflow's DockerOperator", "python")
    assert " ".join(times) == yaml.safe_load(manifest)["spec"]["schedule"]
    assert f'schedule="{" ".join(times)}"' in dag
    assert f'source="{script.rsplit("/", 1)[0]}"' in dag


def test_the_script_for_airbyte_has_the_flags_of_the_page(pages, root):
    [_, command] = blocks(section(pages["docs/100ms.md"], STEP_1), "sh")
    told = set(re.findall(r"--[\w-]+", command))
    said = subprocess.run([root / "platform/install-on-airbyte", "--help"], capture_output=True, text=True, check=True)
    assert told and all(flag in said.stdout for flag in told)

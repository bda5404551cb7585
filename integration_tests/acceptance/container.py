"""Runs containers of the image the way the suites need them."""

import subprocess


def docker(
    *arguments: str, check: bool = True, timeout: float = 120, **options
) -> subprocess.CompletedProcess:
    done = subprocess.run(
        ["docker", *arguments], timeout=timeout, capture_output=True, text=True, check=False, **options
    )
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr or done.stdout}"
    return done


def run_image(image: str, *arguments: str, options: tuple = (), check: bool = True):
    """Run the image on the host's network, where the fake API listens."""
    return docker("run", "--rm", "--network", "host", *options, image, *arguments, check=check)


def run_shell(image: str, script: str, options: tuple = (), check: bool = True):
    """Run a script with the image's own shell instead of the connector."""
    return run_image(image, "-c", script, options=("--entrypoint", "sh", *options), check=check)

"""The `hdna` command in the test's own process."""

from typer.testing import CliRunner

from hdna.cli import app


def hdna(*words: object) -> str:
    """Standard output of `hdna WORDS`, which must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.output} {result.exception}"
    return str(result.stdout)

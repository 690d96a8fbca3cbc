"""Write the JSON schema of configurations, from which editors take descriptions and checks."""

import argparse
from pathlib import Path

from rethinking.config.configuration import schema_json
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("rules/config.schema.json"))
    write_text(parser.parse_args().output, schema_json())


if __name__ == "__main__":
    scripts.run(main)

"""Put tables, figures, claims and their provenance into one HTML file that needs nothing else."""

from pathlib import Path

from rethinking.analysis.aggregation import read_columns
from rethinking.claims.report import COLUMNS
from rethinking.report.page import render
from rethinking.report.provenance import read_networks
from rethinking.run import scripts
from rethinking.run.files import read_text, write_text


def main() -> None:
    """Read the command line and all files, write the report."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument(
        "--artefacts", nargs="*", default=[], type=Path, help="NAME.md of tables and NAME.svg of figures"
    )
    parser.add_argument("--finding", type=Path, help="finding.txt: the sentence that the report begins with")
    parser.add_argument("--claims", required=True, type=Path, help="claims.csv")
    parser.add_argument(
        "--not-judged", nargs="*", default=[], help="data sets that none of the paper's claims is judged on"
    )
    parser.add_argument("--asked-for", required=True, type=int, help="how many networks there should be")
    parser.add_argument("--output", required=True, type=Path, help="HTML to write")
    args = parser.parse_args()

    networks = read_networks(args.root, args.cells, args.seeds)
    # None where all of the paper's experiments are left out.
    claims = read_columns(args.claims, COLUMNS, empty=True).fillna("")
    finding = ()
    if args.finding:
        finding = read_text(args.finding).splitlines()
    artefacts = {path.stem: path for path in args.artefacts}
    html = render(artefacts, networks, claims, args.not_judged, finding, args.asked_for)
    write_text(args.output, html)
    print(f"{len(args.artefacts)} tables and figures, {len(networks)} networks")


if __name__ == "__main__":
    scripts.run(main)

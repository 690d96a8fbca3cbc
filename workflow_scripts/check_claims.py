"""Check the paper's claims on the trained networks: claims.csv for programs, claims.md for readers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import paper_has
from rethinking.analysis.descriptions import describe_copies, describe_data
from rethinking.analysis.runs import TABLES, read_runs
from rethinking.analysis.theory_results import read_records
from rethinking.claims import CLAIMS, Claim
from rethinking.claims.imagenet import IMAGENET
from rethinking.claims.own import name_unlisted, own_claims
from rethinking.claims.report import (
    EXPLANATION,
    Judged,
    claimed_cells,
    judge,
    not_judged,
    scale_of,
    summarise,
    to_frame,
    to_markdown,
)
from rethinking.claims.theory import THEORY_EXPLANATION, judge_theory, theory_frame
from rethinking.run import scripts
from rethinking.run.files import write_text
from rethinking.tables.rendering import in_markdown


def main() -> None:
    """Read the command line and the existing networks, write both files."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--dataset", default="cifar10", help="on which the claims on CIFAR-10 are checked")
    parser.add_argument("--imagenet", help="data set on which the claims on ImageNet are checked")
    parser.add_argument("--not-judged", nargs="*", default=[], help="data sets of other networks")
    parser.add_argument("--measures", nargs="*", help="NAME/complexity.json and such that count; all if not given")
    parser.add_argument("--theory", action="store_true", help="also judge the claims of sections 4 and 5")
    parser.add_argument("--records", nargs="*", default=[], type=Path, help="JSON of the fits of the theory")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--markdown", required=True, type=Path)
    args = parser.parse_args()

    rows, texts = [], []
    own = own_claims()

    def check(title: str, dataset: str, claims: Sequence[Claim], cells: Sequence[str], about: str = "") -> None:
        """Judge claims on those of these networks that are given."""
        names = [name for name in cells if name in args.cells]
        runs = read_runs(args.root, names, args.seeds, *TABLES, measures=args.measures)
        judged = judge(runs, dataset, claims)
        if claims is own:
            judged = [name_unlisted(each, args.cells) for each in judged]
        # Who wrote own claims sees which of their cells are missing.
        in_full = any(runs.values()) or claims is own
        add(title, judged, to_frame(judged, runs, dataset), f"{scale_of(runs)}.{about}", in_full)

    def add(title: str, judged: Sequence[Judged], table: pd.DataFrame, about: str, in_full: bool) -> None:
        """Put claims into both files."""
        rows.append(table)
        if judged:
            texts.append(to_markdown(title, judged, about, in_full))
            print(f"{title}: {summarise(judged)}")

    # First, because who wrote them looks for them.
    check("Own claims", "", own, claimed_cells("", own))
    dataset = registry.entry("dataset", args.dataset)
    # The paper says nothing about a plug-in's data set.
    claims = () if dataset.own else CLAIMS
    about = " A verdict holds for this data at this scale; the paper's is CIFAR-10 with all 50,000 training images."
    check(f"On {dataset.title}", args.dataset, claims, claimed_cells(args.dataset, claims), about)
    if args.imagenet:
        all_cells = [name for name in args.cells if name.split("/")[0] == args.imagenet]
        about = " The paper's is ImageNet with 1.28 million training images."
        check("On ImageNet", args.imagenet, IMAGENET, all_cells, about)
    explanations = [EXPLANATION]
    if args.theory:
        records = read_records(args.records)
        judged = judge_theory(records)
        data = describe_copies(map(describe_data, records)) or "nothing is run yet"
        papers = all(paper_has(each["data"]["dataset"]) for each in records)
        about = "" if papers else " On the data of a plug-in only what the paper proves for any data is judged."
        add("Sections 4 and 5", judged, theory_frame(judged, records), f"{data}.{about}", bool(records))
        explanations.append(THEORY_EXPLANATION)
    # Not above a table, as there may be none.
    texts.append(" ".join(explanations) + in_markdown(not_judged(args.not_judged)) + "\n")
    write_text(args.csv, pd.concat(rows).to_csv(index=False))
    write_text(args.markdown, "\n".join(texts))


if __name__ == "__main__":
    scripts.run(main)

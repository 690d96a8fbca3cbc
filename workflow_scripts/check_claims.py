"""Check the paper's claims on the trained networks: claims.csv for programs, claims.md for readers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from rethinking import registry
from rethinking.analysis.runs import TABLES, Runs, read_runs, summaries
from rethinking.analysis.theory_results import read_records
from rethinking.claims import CLAIMS, Claim
from rethinking.claims.imagenet import IMAGENET
from rethinking.claims.own import own_claims
from rethinking.claims.report import (
    Judged,
    claimed_cells,
    claims_table,
    imagenet_markdown,
    judge,
    summarise,
    to_frame,
    to_markdown,
)
from rethinking.claims.theory import judge_theory, theory_frame, theory_markdown
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the existing networks, write both files."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--dataset", default="cifar10", help="on which the claims on CIFAR-10 are checked")
    parser.add_argument("--imagenet", help="data set on which the claims on ImageNet are checked")
    parser.add_argument("--theory", action="store_true", help="also judge the claims of sections 4 and 5")
    parser.add_argument("--records", nargs="*", default=[], type=Path, help="JSON of the fits of the theory")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--markdown", required=True, type=Path)
    args = parser.parse_args()

    own = own_claims()
    # The paper says nothing about a plug-in's data set.
    claims = () if registry.entry("dataset", args.dataset).own else CLAIMS
    rows, texts = [], []

    def check(dataset: str, claims: Sequence[Claim], cells: Iterable[str]) -> tuple[list[Judged], Runs]:
        """The verdicts on claims, whose rows are added to the CSV, and those of their networks that are given."""
        runs = read_runs(args.root, [name for name in cells if name in args.cells], args.seeds, *TABLES)
        judged = judge(runs, dataset, claims)
        rows.append(to_frame(judged, runs, dataset))
        return judged, runs

    judged, runs = check(args.dataset, claims, claimed_cells(args.dataset, claims))
    trained, done = len(summaries(runs)), summarise(judged)
    # A table without measurements is useless to readers; its rows are in the CSV.
    if not claims:
        done = "none of the paper's"
    elif trained or not args.records:
        texts.append(to_markdown(judged, runs))
    else:
        texts.append(
            f"**{done}** on networks, because none is trained; claims.csv names the ones that are needed.\n"
        )
    if args.imagenet:
        all_cells = [name for name in args.cells if name.split("/")[0] == args.imagenet]
        judged, runs = check(args.imagenet, IMAGENET, all_cells)
        texts.append(imagenet_markdown(judged, runs))
        done += f"; on ImageNet: {summarise(judged)}"
    if own:
        judged, _ = check("", own, claimed_cells("", own))
        scale = " and ".join(rows[-1].data.unique())
        # First, because who wrote them looks for them.
        texts.insert(0, f"**Own claims: {summarise(judged)}**: {scale}.\n\n{claims_table(judged)}\n")
        done += f"; own claims: {summarise(judged)}"
    if args.theory:
        records = read_records(args.records, "seed")
        theory = judge_theory(records)
        rows.append(theory_frame(theory, records))
        texts.append(theory_markdown(theory, records))
        done += f"; {len(records)} fits of the theory: {summarise(theory)}"
    write_text(args.csv, pd.concat(rows).to_csv(index=False))
    write_text(args.markdown, "\n".join(texts))
    print(f"{trained} networks: {done}")


if __name__ == "__main__":
    scripts.run(main)

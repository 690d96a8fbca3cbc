"""Check the paper's claims on the trained networks: claims.csv for programs, claims.md for readers."""

from pathlib import Path

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import aggregate_accuracy, describe_scale
from rethinking.analysis.runs import TABLES, read_runs, summaries
from rethinking.analysis.theory_results import read_records
from rethinking.cells import Cell
from rethinking.claims import CLAIMS
from rethinking.claims.imagenet import IMAGENET
from rethinking.claims.own import own_claims
from rethinking.claims.report import (
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
from rethinking.run.files import UserError, write_text


def main() -> None:
    """Read the command line and the existing networks, write both files."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--imagenet", help="data set on which the claims on ImageNet are checked")
    parser.add_argument("--theory", action="store_true", help="also judge the claims of sections 4 and 5")
    parser.add_argument("--records", nargs="*", default=[], type=Path, help="JSON of the fits of the theory")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--markdown", required=True, type=Path)
    args = parser.parse_args()

    own = own_claims()
    imagenet_cells = [name for name in args.cells if name.split("/")[0] == args.imagenet]
    paper_cells = [name for name in args.cells if name not in {*claimed_cells("", own), *imagenet_cells}]
    others = [name for name in args.cells if name not in imagenet_cells]
    datasets = {Cell.from_name(name, seed=0).dataset for name in paper_cells or others[:1]}
    if len(datasets) > 1:
        raise UserError(f"--cells are of {' and '.join(sorted(datasets))}; give those of one")
    dataset = datasets.pop() if datasets else "cifar10"
    # The paper says nothing about a plug-in's data set.
    claims = () if registry.entry("dataset", dataset).own else CLAIMS
    cells = [name for name in claimed_cells(dataset, claims) if name in args.cells]
    runs = read_runs(args.root, cells, args.seeds, *TABLES)

    judged = judge(runs, dataset, claims)
    trained = summaries(runs)
    scale = describe_scale(aggregate_accuracy(cells, trained, {}))
    rows, texts, done = [to_frame(judged, runs, dataset)], [], summarise(judged)
    # A table without measurements is useless to readers; its rows are in the CSV.
    if not claims:
        done = "none of the paper's"
    elif trained or not args.records:
        texts.append(to_markdown(judged, scale))
    else:
        texts.append(
            f"**{done}** on networks, because none is trained; claims.csv names the ones that are needed.\n"
        )
    if args.imagenet:
        runs = read_runs(args.root, imagenet_cells, args.seeds, *TABLES)
        judged = judge(runs, args.imagenet, IMAGENET)
        rows.append(to_frame(judged, runs, args.imagenet))
        texts.append(imagenet_markdown(judged, runs, args.imagenet))
        done += f"; on ImageNet: {summarise(judged)}"
    if own:
        asked = [name for name in claimed_cells("", own) if name in args.cells]
        judged = judge(runs := read_runs(args.root, asked, args.seeds, *TABLES), "", own)
        frame = to_frame(judged, runs, "")
        rows.append(frame)
        scale = " and ".join(frame.data.unique())
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
    print(f"{len(trained)} networks: {done}")


if __name__ == "__main__":
    scripts.run(main)

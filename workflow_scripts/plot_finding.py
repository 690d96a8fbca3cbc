"""Say the paper's finding in one sentence and one picture, from networks without regularisers."""

from pathlib import Path

from rethinking.analysis.finding import measure, scale, sentence
from rethinking.analysis.runs import read_runs, summaries
from rethinking.figures.finding import plot
from rethinking.figures.style import draw, save
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the networks; write the sentence, the figure in each format and its numbers."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="to write: .svg, .png, .pdf")
    parser.add_argument("--numbers", required=True, type=Path, help="CSV to write")
    parser.add_argument("--text", required=True, type=Path, help="to write: the sentence, and a line on the data")
    args = parser.parse_args()

    table = measure(args.cells, summaries(read_runs(args.root, args.cells, args.seeds)))
    said = sentence(table)
    measured_on = scale(table)
    save(draw(plot, table, f"Ours: {measured_on}"), args.images)
    write_text(args.numbers, table.to_csv(index=False, float_format="%.6g"))
    write_text(args.text, f"{said}\n{measured_on}\n")
    print(said)


if __name__ == "__main__":
    scripts.run(main)

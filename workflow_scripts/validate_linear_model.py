"""Try gamma and penalty of a linear model on a part of the training set, without the test images."""

from rethinking.analysis.descriptions import describe_data
from rethinking.config.theory import LinearModelConfig, ValidationConfig
from rethinking.data.prepared import load_split
from rethinking.run import scripts
from rethinking.run.files import write_text
from rethinking.run.scripts import log
from rethinking.theory.features import make_features
from rethinking.theory.inputs import add_device, argument_parser, device_alone, features_folder, read
from rethinking.theory.validation import validate, validation_split


def main() -> None:
    """Read the command line and the training images, write the errors as CSV."""
    parser = argument_parser(__doc__, "of random features", "CSV to write")
    parser.add_argument("--validation", required=True, help="the section linear_models.validation as JSON")
    add_device(parser)
    args = parser.parse_args()

    model, manifest = read(LinearModelConfig, args.model, args)
    settings = ValidationConfig.model_validate_json(args.validation)
    images, labels = load_split(args.prepared, "train")
    fitted, others = validation_split(labels, settings, model.dataset)
    gammas = [None]
    if model.kernel == "gaussian":
        given = [] if model.gamma == "validated" else [model.gamma]
        gammas = sorted({*model.gammas, *given})
    with device_alone(args) as device, features_folder(args.output) as folder:
        train, test = make_features(model, images[fitted], images[others], folder, args.seed, device, log)
        table = validate(
            train,
            test,
            labels[fitted],
            labels[others],
            manifest["num_classes"],
            gammas,
            settings.penalties,
            device,
            log,
        )
    table.insert(0, "model", model.name)
    table["images"], table["validation_images"] = len(fitted), len(others)
    table["data"] = describe_data({"data": manifest})
    write_text(args.output, table.to_csv(index=False))


if __name__ == "__main__":
    scripts.run(main)

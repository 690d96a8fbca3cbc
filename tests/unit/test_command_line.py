"""What ends Snakemake before it reads the Snakefile: configurations that it cannot read, a full home folder."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_slurm_bundles.command_line import check_command_line

GOOD = "training: {epochs: 3}\n"


def message(tmp_path, content, *after, option="--configfile"):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SystemExit) as error:
        check_command_line(["/usr/bin/snakemake", "-n", option, str(file), *after])
    return str(error.value).replace(str(file), "mine.yaml")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("training:\n\tepochs: 3\n", "mine.yaml:2: not YAML: a tab; YAML is indented by spaces"),
        (GOOD + "# \xe9\n", None),
        (GOOD.encode() + b"# caf\xe9\n", "mine.yaml:2: the byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a: [1\n", "mine.yaml:2: not YAML: "),
        ("a: 2026-02-30\n", "mine.yaml: not YAML: day "),
        ("", "mine.yaml is no configuration: it holds nothing"),
        ("- 5\n", "mine.yaml is no configuration: it holds no keys"),
        ('{"a":\t1}', None),
        ("a: &a {b: 1}\nc: *a\n", None),
        ("a: &a [*a]\n", "mine.yaml: an alias (*name) stands within what it names"),
        ("a: &a\n  b: *a\n", "mine.yaml: an alias (*name) stands within what it names"),
    ],
)
def test_file_and_line_are_named(tmp_path, content, expected):
    if expected is None:
        file = tmp_path / "mine.yaml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        check_command_line(["snakemake", f"--configfile={file}", "--", "results/table1.csv"])
    else:
        assert message(tmp_path, content).startswith(f"snakemake: {expected}")


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        ("[cifar10/{a,b}_labels/alexnet/none]", True),
        ("*/a/alexnet/none", True),
        ("{cifar10,mnist}/a/b/none", True),
        ("[cifar10/a/b/none: c, {]", False),
        ("[a, {]", False),
    ],
)
def test_where_yaml_stumbles_over_a_pattern_quotes_are_asked_for(tmp_path, cells, hint):
    text = message(tmp_path, f"table1:\n  cells: {cells}\n")
    assert text.startswith("snakemake: mine.yaml:2: not YAML: ")
    assert ("; a pattern needs quotes, as in " in text) == hint


@pytest.mark.parametrize("target", ["results/table1.csv", "all"])
def test_swallowed_target_is_told_with_the_right_order(tmp_path, target):
    assert (
        message(tmp_path, GOOD, target)
        == f"snakemake: --configfile takes all words up to the next option, and so '{target}', for configuration files. "
        f"Put targets first: snakemake {target} -n --configfile mine.yaml"
    )


@pytest.mark.parametrize("folder", [".identity", "missing"])
def test_network_behind_a_configuration_is_told_with_the_right_order(tmp_path, folder):
    """Its summary.json can be read as a configuration."""
    summary = tmp_path / "summary.json"
    if folder == ".identity":
        (tmp_path / folder).mkdir()
        summary.write_text('{"cell": "digits/true_labels/mlp_1x512/none/seed0"}')
    assert f"Put targets first: snakemake {summary} -n --configfile mine.yaml" in message(tmp_path, GOOD, str(summary))


def test_second_configuration_in_json_is_taken(tmp_path):
    second = tmp_path / "more.json"
    second.write_text('{"seeds": [0]}')
    check_command_line(["snakemake", "--configfile", "config.yaml", str(second)])


def test_target_behind_a_setting_is_told_with_the_right_order():
    with pytest.raises(SystemExit, match="Put targets first: snakemake all --config seeds=3"):
        check_command_line(["snakemake", "--config", "seeds=3", "all"])
    check_command_line(["snakemake", "--config", "seeds=3", "-n", "all"])
    check_command_line(["snakemake", "--config", "seeds=3", "--", "all"])


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("--cores 2 --configfile {0} {1} a b -n", "a b --cores 2 --configfile {0} {1} -n"),
        ("c --configfile {0} a --config seeds=3 -- b", "a b c --configfile {0} --config seeds=3"),
        ("--config seeds=3 a epochs=2 b --configfile {0} {1}", "a b --config seeds=3 epochs=2 --configfile {0} {1}"),
        ("--configfile {0} a --config seeds=3 b -n", "a b --configfile {0} --config seeds=3 -n"),
        ("--config=a -n", "a -n"),
        ("--config seeds=0 -n --config epochs=2 a", "a --config seeds=0 epochs=2 -n"),
        ("--config seeds=0 -npC epochs=2 a --config b", "a b --config seeds=0 epochs=2 -np"),
        ("--configfile {0} --configfile={1} --configfile {0} a", "a --configfile {0} {1} {0}"),
        ("--config -n", None),
    ],
)
def test_the_right_order_keeps_all_other_words(tmp_path, written, right):
    """Without its second configuration, a command that is copied would make another experiment."""
    files = [str(tmp_path / name) for name in ("one.yaml", "two.yaml")]
    for file in files:
        Path(file).write_text(GOOD)
    arguments = ["snakemake", *written.format(*files).split()]
    if right is None:
        check_command_line(arguments)
    else:
        with pytest.raises(SystemExit) as error:
            check_command_line(arguments)
        assert str(error.value).endswith(f"Put targets first: snakemake {right.format(*files)}")
        check_command_line(["snakemake", *right.format(*files).split()])


@pytest.mark.parametrize(
    ("short", "right"),
    [
        (["-C", "seeds=3"], "--config seeds=3"),
        (["-nC", "seeds=3"], "-n --config seeds=3"),
        (["-Cseeds=3"], None),
        (["--config=seeds=3"], None),
    ],
)
def test_settings_are_read_in_each_form(short, right):
    check_command_line(["snakemake", *short])
    with pytest.raises(SystemExit, match=r"--config is given 2 times.* --config seeds=3 'training=\{epochs: 20\}'$"):
        check_command_line(["snakemake", *short, "--config", "training={epochs: 20}", "-n"])
    if right:
        with pytest.raises(SystemExit, match=f"first: snakemake all {right}$"):
            check_command_line(["snakemake", *short, "all"])


def test_repeated_option_ends_with_the_form_that_keeps_all():
    """Snakemake would take the last occurrence alone, and so a larger experiment."""
    with pytest.raises(SystemExit, match=r"only the last would count\. Give it once: --config 'seeds=\[0\]' a=1 b=2$"):
        check_command_line(["snakemake", "--config", "seeds=[0]", "-n", "--config", "a=1", "b=2"])
    for option in ("--configfile", "--configfiles"):
        words = ["snakemake", "--configfile=config.yaml", option, "profiles/demo/experiment.yaml"]
        with pytest.raises(SystemExit, match=r"once: --configfile config\.yaml profiles/demo/experiment\.yaml$"):
            check_command_line(words)
    check_command_line(["snakemake", "--config", "seeds=[0]", "--configfile", "config.yaml", "--", "-C", "a"])


def test_command_of_a_job_is_left_alone():
    """Snakemake starts each job as a Snakemake of its own, with all files and all settings behind one option each."""
    command = (
        "/x/snakemake/__main__.py --snakefile Snakefile --target-jobs train_cell:seed=0 --config seeds=[0] finished_only=1 "
        "--latency-wait 5 --configfiles config.yaml profiles/demo/experiment.yaml --mode remote"
    )
    check_command_line(command.split())


def test_key_of_a_section_on_the_command_line_is_told_with_its_form():
    """Snakemake would end with a traceback that does not name it."""
    with pytest.raises(SystemExit, match=r"braces: --config datasets='{cifar10: {train_limit: 9.5}}'$"):
        check_command_line(["snakemake", "--config", "finished_only=true", "datasets.cifar10.train_limit=9.5"])
    check_command_line(["snakemake", "--config", "results_dir=a.b", "training={epochs: 3}"])


def test_each_option_that_took_a_target_is_told(tmp_path):
    assert message(tmp_path, GOOD, "table1", "--config", "fig1a", "-n") == (
        "snakemake: --configfile takes all words up to the next option, and so 'table1', for configuration files. "
        "--config takes all words up to the next option, and so 'fig1a', for settings key=value. "
        "Put targets first: snakemake table1 fig1a -n --configfile mine.yaml -n"
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"nowhere\.yaml cannot be read \(No such file or directory\)"):
        check_command_line(["snakemake", "--configfile", str(tmp_path / "nowhere.yaml")])


def test_full_home_folder_is_named(small_disk, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    with pytest.raises(SystemExit, match=f"^snakemake: {small_disk}/snakemake cannot be written .No space left"):
        check_command_line(["snakemake", "-n"])


def test_other_programs_are_left_alone():
    check_command_line(["pytest", "--configfile", "nowhere.yaml"])
    check_command_line(["/x/jobs/run.py", "--configfile", "nowhere.yaml"])
    check_command_line([])

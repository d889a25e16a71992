"""The command line: one small module a command, each a plain function, which imports torch only where needed."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import typer
import typer.core

from facegan.cli import (
    audit,
    average,
    blind,
    demo,
    evaluate,
    film,
    import_keras,
    prepare,
    report,
    runs,
    sample,
    summary,
    synth_dataset,
    train,
    train_attributes,
    verify_resume,
)
from facegan.errors import UserError


class _Commands(typer.core.TyperGroup):
    """The commands, with one sentence where typer would say nothing."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("facegan: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # whoever read our output went away, as head does: there is nobody left to tell
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    name="facegan",
    cls=_Commands,
    help="Train a face generator on CelebA and use the faces: random noise in, face out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from facegan import __version__

        typer.echo(f"facegan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("runs")(runs.runs)
app.command("verify-resume")(verify_resume.verify_resume)
app.command("sample")(sample.sample)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(evaluate.compare)
app.command("audit")(audit.audit)
app.command("blind")(blind.blind)
app.command("train-attributes")(train_attributes.train_attributes)
app.command("report")(report.report)
app.command("average")(average.average)
app.command("summary")(summary.summary)
app.command("film")(film.film)
app.command("import-keras")(import_keras.import_keras)
app.command("demo")(demo.demo)
app.command("synth-dataset")(synth_dataset.synth_dataset)


def main() -> None:
    """Run the command line. A user's mistake ends with one sentence and exit code 2; Ctrl-C with 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that a terminal or a file cannot show is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserError as error:
        print(f"facegan: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"facegan: {where}{error.strerror or error}; make room, or choose another place", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("facegan: interrupted", file=sys.stderr)
        sys.exit(130)

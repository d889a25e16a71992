"""The command line: one small module for each command, a plain function that imports torch only where needed."""

from __future__ import annotations

import sys
from typing import Any

import typer
import typer.core
from typer import Option

from facegan import hints
from facegan.cli import (
    audit,
    average,
    blind,
    demo,
    doctor,
    edit,
    evaluate,
    export,
    failures,
    film,
    import_keras,
    invert,
    morph,
    plan,
    prepare,
    report,
    runs,
    sample,
    studio,
    summary,
    synth_dataset,
    train,
    train_attributes,
    verify_resume,
)  # fmt: skip
from facegan.cli.console import lost_output, settle_streams
from facegan.errors import OthersSayError, UserError, system_failure

COMMANDS = (
    prepare.prepare, plan.plan, train.train, runs.runs, doctor.doctor, verify_resume.verify_resume, sample.sample,
    edit.edit, morph.morph, morph.mix, invert.invert, edit.directions, studio.studio, export.export, evaluate.evaluate,
    evaluate.compare, audit.audit, blind.blind, train_attributes.train_attributes, report.report, average.average,
    summary.summary, film.film, import_keras.import_keras, demo.demo, synth_dataset.synth_dataset,
)  # fmt: skip
"""In the order of the help; a command is called as its function, with dashes."""

_UsageError: Any = typer.BadParameter.__base__


class _Command(typer.core.TyperCommand):
    """A command; what the system denies it is told as a mistake, with its own flags."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if "" in args:  # as a path it would be the current folder
            raise UserError(f"{ctx.command_path}: one of the arguments is empty; is a variable of a script not set?")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = failures.as_mistake(error, str(ctx.info_name), ctx.params)
            if told is None:
                raise
            raise told from error


class _Commands(typer.core.TyperGroup):
    """The commands, with one sentence where typer would say nothing, or half a page."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise SystemExit(_say(*failures.stopped(stop))) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise UserError(f"there is no command {args[0]}; {hints.for_command(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


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
for command in COMMANDS:
    app.command(cls=_Command)(command)


def _version(wanted: bool) -> None:
    if wanted:
        from facegan import __version__

        typer.echo(f"facegan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
) -> None:
    pass


def main() -> None:
    """Run the command line. A user's mistake, or what the system denies, ends with one sentence and exit code 2;
    Ctrl-C with 130, SIGTERM with 143."""
    settle_streams()
    with failures.heeding_signals():
        code = _run()
    if code:
        sys.exit(code)


def _run() -> int:
    try:
        code = app(prog_name="facegan", standalone_mode=False)
        if (lost := lost_output()) is not None:
            return _say(f"what was printed is not whole: standard output: {system_failure(lost)}", 2)
        return code or 0
    except OthersSayError as error:
        return error.exit_code
    except UserError as error:
        return _say(str(error), error.exit_code)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # no command at all: what is said is the help
            error.show()
            return 2
        return _say(_usage(error), 2)
    except typer.Abort:
        return _say("no answer; nothing was done", 1)
    except KeyboardInterrupt as stop:
        return _say(*failures.stopped(stop))


def _usage(error: Any) -> str:
    """Return what is wrong with a command's flags, what may be meant, and where it is written."""
    context = error.ctx
    where = "facegan" if context is None else context.command_path
    said = error.format_message()
    if type(error).__name__ == "NoSuchOption":
        name = error.option_name
        flags = [flag for option in context.command.params for flag in (*option.opts, *option.secondary_opts)]
        hint = hints.for_flag(name, [flag for flag in flags if flag.startswith("-")])
        said = f"there is no flag {name}" + (f"; {hint}" if hint else "")
    return f"{said.rstrip('.')}{'' if said.endswith('?') else ';'} see {where} --help"


def _say(sentence: str, code: int) -> int:
    """Print what ended a command, and return its exit code."""
    print(f"facegan: {sentence}", file=sys.stderr, flush=True)
    return code

"""python -m lgfa, and the command lgfa"""
from . import signals


def main() -> None:
    """Runs the command line; ends the process."""
    signals.run(_command)


def _command() -> int:
    """Imported here: signals are looked after by now."""
    from .cli.entry import main as command

    return command()


if __name__ == "__main__":
    main()

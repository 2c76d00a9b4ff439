"""Entry point of `rtmlib-backend` and of `python -m adapters.cli`, which the image runs."""


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback at any time."""
    try:
        from adapters.cli import app  # noqa: PLC0415 - importing takes seconds, in which Ctrl-C may come

        app.main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

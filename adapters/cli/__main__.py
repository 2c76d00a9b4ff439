"""What `rtmlib-backend` and, as in the image, `python -m adapters.cli` start."""


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly from the first moment on."""
    try:
        from adapters.cli import app  # noqa: PLC0415 - importing takes seconds, in which Ctrl-C may come

        app.main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

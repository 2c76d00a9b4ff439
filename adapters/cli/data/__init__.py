"""Commands that bring data sets out of and into Label Studio."""

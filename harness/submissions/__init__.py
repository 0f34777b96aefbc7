"""Results that travel: a row as a folder of text, made, verified, imported and run again (``docs/submitting.md``)."""

"""Pure decisions: evidence, specs and time come in as arguments, frozen values go out."""

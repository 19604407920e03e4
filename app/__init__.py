"""The web service, the command line and the one-machine stack; never imports torch."""

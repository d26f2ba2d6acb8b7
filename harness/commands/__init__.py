"""What `harness` can be told to do: one file for each command, by its name. `add_to` gives a parser its flags
and, as `command`, what carries it out: the exit code from the arguments and the words as they were typed."""

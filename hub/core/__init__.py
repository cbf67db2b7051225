"""Pure decisions: no clock, no random, no logging, no input or output. `now` is an argument."""

//! Files of other tools, read at the end of a trial.

//! Virtual time: the same controller driven by an event heap; the engine of `overdrive simulate`, of the benchmarks and of thousands of tests.

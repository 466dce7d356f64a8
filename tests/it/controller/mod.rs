//! Tests of `controller`: seeded sweeps in virtual time with every promise checked, and scenarios told as text.

mod scenarios;
mod seeds;

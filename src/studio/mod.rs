//! The studio: a web page and an API over the store, from the same binary.

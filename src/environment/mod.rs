//! Python environments: built once per content hash, cached, shared by all sweeps.

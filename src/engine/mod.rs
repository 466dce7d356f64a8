//! The engine: the only loop that does things. Drives the controller in real time over store and targets.

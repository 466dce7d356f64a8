//! The thread that talks to a service for a target: woken when something is wanted, given some time for its last words at the end.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A thread that takes orders. Dropped, it takes no more, and nobody waits for its end.
pub(super) struct Errand<O> {
    orders: Sender<O>,
    done: Receiver<()>,
}

impl<O> Errand<O> {
    /// Starts a thread called `name` that runs what `make` gives; `make` gets both ends of the orders.
    ///
    /// # Errors
    /// The system's, if it has no place for one more thread.
    pub(super) fn begin<W: FnOnce() + Send + 'static>(
        name: &str,
        make: impl FnOnce(&Sender<O>, Receiver<O>) -> W,
    ) -> io::Result<Self> {
        let (orders, received) = channel();
        let (gone, done) = channel();
        let work = make(&orders, received);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            work();
            // Whoever left before has not waited.
            let _ = gone.send(());
        })?;
        Ok(Self { orders, done })
    }

    /// Leaves an order; a thread that has ended needs none.
    pub(super) fn tell(&self, order: O) {
        let _ = self.orders.send(order);
    }

    /// Waits for the end of the thread, at most `patience`: a service that hangs must not keep the command from ending.
    pub(super) fn farewell(self, patience: Duration) {
        let _ = self.done.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_waited_for_and_silence_only_for_a_while() {
        let (said, heard) = channel();
        let errand = Errand::begin("test", |_, orders: Receiver<u8>| {
            move || orders.iter().take(2).for_each(|order| said.send(order).unwrap())
        })
        .unwrap();
        errand.tell(1);
        errand.tell(2);
        errand.farewell(Duration::from_secs(60));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [1, 2]);

        // Its orders never end while the one who left still waits.
        let deaf = Errand::begin("test", |_, orders: Receiver<()>| {
            move || orders.iter().for_each(drop)
        })
        .unwrap();
        deaf.farewell(Duration::from_millis(10));
    }
}

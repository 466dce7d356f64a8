//! Redraws a block of lines at the bottom of the terminal: one write per frame, cursor hidden and always given back.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shortest time between two frames.
pub const FRAME: Duration = Duration::from_millis(100);

const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";

/// Whether the cursor is hidden now; read by the panic hook and by [`restore`].
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Gives the cursor back if a screen hid it. Called on drop, on panic and before the process ends by a signal.
pub fn restore() {
    super::keys::restore();
    if HIDDEN.swap(false, Ordering::SeqCst) {
        let _ = std::io::stderr()
            .lock()
            .write_all(format!("{END}{SHOW}").as_bytes());
    }
}

/// The block of lines.
pub struct Screen<W: Write> {
    out: W,
    height: usize,
}

impl<W: Write> Screen<W> {
    /// Takes the terminal over: hides the cursor, and makes a panic give it back.
    pub fn new(mut out: W) -> Self {
        if !HIDDEN.swap(true, Ordering::SeqCst) {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        }
        let _ = out.write_all(HIDE.as_bytes());
        Self { out, height: 0 }
    }

    /// Replaces the block by `block`, with `above` printed before it for good (it scrolls away with the rest).
    ///
    /// # Errors
    /// What the terminal answers.
    pub fn draw(&mut self, above: &[String], block: &[String]) -> std::io::Result<()> {
        let mut frame = String::from(BEGIN);
        frame.push_str(&self.back());
        for line in above.iter().chain(block) {
            frame.push_str(line);
            // The rest of the old line goes, whatever its length was.
            frame.push_str("\x1b[K\n");
        }
        // A block that shrank leaves old lines below.
        frame.push_str("\x1b[J");
        frame.push_str(END);
        self.height = block.len();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    fn back(&self) -> String {
        if self.height == 0 {
            "\r".into()
        } else {
            format!("\r\x1b[{}A", self.height)
        }
    }

    /// Takes the block away and gives the cursor back.
    ///
    /// # Errors
    /// What the terminal answers.
    pub fn finish(mut self) -> std::io::Result<()> {
        let clear = format!("{}\x1b[J{SHOW}", self.back());
        self.height = 0;
        HIDDEN.store(false, Ordering::SeqCst);
        self.out.write_all(clear.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        if HIDDEN.swap(false, Ordering::SeqCst) {
            let _ = self.out.write_all(SHOW.as_bytes());
            let _ = self.out.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_per_frame_and_the_cursor_comes_back() {
        struct Writes(std::rc::Rc<std::cell::RefCell<Vec<String>>>);
        impl Write for Writes {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0
                    .borrow_mut()
                    .push(String::from_utf8(bytes.to_vec()).unwrap());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let writes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let mut screen = Screen::new(Writes(writes.clone()));
        screen.draw(&[], &["a".into(), "b".into()]).unwrap();
        screen.draw(&["event".into()], &["c".into()]).unwrap();
        screen.finish().unwrap();
        let writes = writes.borrow();
        assert_eq!(writes[0], HIDE);
        assert_eq!(writes[1], format!("{BEGIN}\ra\x1b[K\nb\x1b[K\n\x1b[J{END}"));
        assert_eq!(
            writes[2],
            format!("{BEGIN}\r\x1b[2Aevent\x1b[K\nc\x1b[K\n\x1b[J{END}")
        );
        assert_eq!(writes[3], format!("\r\x1b[1A\x1b[J{SHOW}"));
        assert_eq!(writes.len(), 4);
    }
}

//! The captured output: raw bytes of standard output and error in one file, bounded.
//!
//! Up to half the cap everything goes into the log. What follows goes to two parts of half the cap each, written in turn; at the
//! end the last half of the cap is put behind the first one, with a mark between them if something was left out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of recent output that are kept in memory for the last lines.
const RECENT: usize = 64 << 10;
/// Lines of the tail.
const TAIL_LINES: usize = 20;
/// Characters of a line of the tail.
const TAIL_CHARS: usize = 500;

/// Writer of the log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    half: u64,
    kept: u64,
    total: u64,
    unwritten: u64,
    parts: Option<Parts>,
    recent: Vec<u8>,
}

/// The two parts beyond the first half; `current` is written, the other one is older and full.
#[derive(Debug)]
struct Parts {
    files: [(File, PathBuf); 2],
    current: usize,
    filled: u64,
    older: u64,
}

/// What became of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Bytes left out by the cap.
    pub(super) cut: u64,
    /// Bytes that the disk did not take.
    pub(super) unwritten: u64,
}

impl Log {
    /// Creates the log; `cap` is the largest size in bytes (at least 8 KiB).
    pub(super) fn create(path: &Path, cap: u64) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?,
            path: path.to_owned(),
            half: cap.max(8 << 10) / 2,
            kept: 0,
            total: 0,
            unwritten: 0,
            parts: None,
            recent: Vec::new(),
        })
    }

    /// Takes output in. Never fails: what the disk refuses is counted.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.remember(bytes);
        let room = usize::try_from(self.half - self.kept).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        if !head.is_empty() {
            self.kept += head.len() as u64;
            if self.file.write_all(head).is_err() {
                self.unwritten += head.len() as u64;
            }
        }
        if !rest.is_empty() && self.overflow(rest).is_err() {
            self.unwritten += rest.len() as u64;
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        let bytes = bytes
            .get(bytes.len().saturating_sub(RECENT)..)
            .unwrap_or_default();
        if self.recent.len() + bytes.len() > 2 * RECENT {
            let surplus = (self.recent.len() + bytes.len())
                .saturating_sub(RECENT)
                .min(self.recent.len());
            self.recent.drain(..surplus);
        }
        self.recent.extend_from_slice(bytes);
    }

    fn overflow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let open = |name: &str| {
                    let path = self.path.with_extension(name);
                    let file = OpenOptions::new()
                        .read(true)
                        .write(true)
                        .create(true)
                        .truncate(true)
                        .open(&path)?;
                    io::Result::Ok((file, path))
                };
                let files = [open("part-a.txt")?, open("part-b.txt")?];
                self.parts.insert(Parts {
                    files,
                    current: 0,
                    filled: 0,
                    older: 0,
                })
            }
        };
        while !bytes.is_empty() {
            if parts.filled == self.half {
                parts.current = 1 - parts.current;
                parts.older = parts.filled;
                parts.filled = 0;
                let Some((file, _)) = parts.files.get_mut(parts.current) else {
                    return Ok(());
                };
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
            }
            let room = usize::try_from(self.half - parts.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let Some((file, _)) = parts.files.get_mut(parts.current) else {
                return Ok(());
            };
            parts.filled += now.len() as u64;
            file.write_all(now)?;
            bytes = later;
        }
        Ok(())
    }

    /// Puts the last half behind the first one, with a mark between them that says how much was left out.
    pub(super) fn finish(&mut self) -> Outcome {
        let Some(parts) = self.parts.take() else {
            return Outcome {
                cut: 0,
                unwritten: self.unwritten,
            };
        };
        let beyond = parts.older + parts.filled;
        let cut = match self.join(parts, beyond) {
            Ok(cut) => cut,
            Err(_) => {
                self.unwritten += beyond;
                0
            }
        };
        Outcome {
            cut,
            unwritten: self.unwritten,
        }
    }

    fn join(&mut self, parts: Parts, beyond: u64) -> io::Result<u64> {
        // The whole output is: first half, (lost), older part, current part.
        let last = beyond.min(self.half);
        let cut = self.total.saturating_sub(self.half + last);
        if cut > 0 {
            self.file
                .write_all(format!("\n[overdrive: {cut} bytes left out here]\n").as_bytes())?;
        }
        let Parts {
            files: [a, b],
            current,
            filled,
            older,
        } = parts;
        let (mut now, mut before) = if current == 0 { (a, b) } else { (b, a) };
        let from_before = last.saturating_sub(filled).min(older);
        before.0.seek(SeekFrom::Start(older - from_before))?;
        io::copy(&mut (&mut before.0).take(from_before), &mut self.file)?;
        now.0.seek(SeekFrom::Start(filled.saturating_sub(last)))?;
        io::copy(&mut (&mut now.0).take(last), &mut self.file)?;
        for (_, path) in [now, before] {
            // A part that stays only costs room.
            let _ = fs::remove_file(path);
        }
        Ok(cut)
    }

    /// The last lines of the output.
    pub(super) fn tail(&self) -> Vec<String> {
        tail(&self.recent, self.recent.len() as u64 == self.total)
    }
}

/// The last lines of `recent` output, which is `whole` or begins somewhere inside.
pub(super) fn tail(recent: &[u8], whole: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut pieces = recent.split(|byte| *byte == b'\n');
    if !whole {
        // Begins somewhere inside a line, unless that line is all there is.
        let mut rest = pieces.clone();
        rest.next();
        if rest.clone().next().is_some_and(|piece| !piece.is_empty()) || rest.nth(1).is_some() {
            pieces.next();
        }
    }
    for piece in pieces {
        let text = crate::channel::text::plain(piece);
        if text.trim().is_empty() {
            continue;
        }
        lines.push(text.chars().take(TAIL_CHARS).collect());
    }
    lines.drain(..lines.len().saturating_sub(TAIL_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(cap: u64, chunks: &[Vec<u8>]) -> (Vec<u8>, Outcome, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut log = Log::create(&path, cap).unwrap();
        for chunk in chunks {
            log.write(chunk);
        }
        let outcome = log.finish();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "parts are gone");
        (fs::read(&path).unwrap(), outcome, log.tail())
    }

    #[test]
    fn up_to_the_cap_all_is_kept() {
        let text = vec![b'x'; 8 << 10];
        let (bytes, outcome, _) = logged(8 << 10, std::slice::from_ref(&text));
        assert_eq!((bytes, outcome), (text, Outcome::default()));
    }

    #[test]
    fn beyond_it_the_first_and_the_last_half_are_kept() {
        for total in [8193usize, 9000, 12_288, 12_289, 16_384, 16_385, 50_000, 123_456] {
            for piece in [1000usize, 4096, 8192, 200_000] {
                let all: Vec<u8> = (0..total)
                    .flat_map(|index| (index as u32 % 65_521).to_le_bytes())
                    .take(total)
                    .collect();
                let chunks: Vec<Vec<u8>> = all.chunks(piece).map(<[u8]>::to_vec).collect();
                let (bytes, outcome, _) = logged(8 << 10, &chunks);
                let mark = b"\n[overdrive: ";
                assert_eq!(&bytes[..4096], &all[..4096]);
                assert_eq!(&bytes[4096..4096 + mark.len()], mark);
                let last = 4096;
                assert_eq!(
                    &bytes[bytes.len() - last..],
                    &all[total - last..],
                    "{total} by {piece}"
                );
                assert_eq!(outcome.cut as usize, total - 4096 - last);
            }
        }
    }

    #[test]
    fn the_tail_has_the_last_lines_in_plain_text() {
        let mut text = Vec::new();
        for index in 0..100_000 {
            text.extend_from_slice(format!("line {index}\n").as_bytes());
        }
        text.extend_from_slice(b"\x1b[31mred\xff\x00\x1b[0m\n\n");
        text.extend_from_slice("é".repeat(900).as_bytes());
        let chunks: Vec<Vec<u8>> = text.chunks(5000).map(<[u8]>::to_vec).collect();
        let (_, _, tail) = logged(1 << 20, &chunks);
        assert_eq!(tail.len(), 20);
        assert_eq!(tail[17], "line 99999");
        assert_eq!(tail[18], "red\u{fffd}\u{0}");
        assert_eq!(tail[19].chars().count(), 500);
        assert_eq!(logged(1 << 20, &[vec![b'a'; 200_000]]).2, ["a".repeat(500)]);
        assert!(logged(1 << 20, &[]).2.is_empty());
    }
}

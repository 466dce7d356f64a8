//! The account of a shell runner: a line for each fact, `NUMBER WORD ... CHECKSUM`. The checksum is POSIX `cksum` of the checksum
//! before (0 at first), a blank, and the rest of the line; so a line is only valid behind its predecessor.

use crate::journal::Exit;

/// Longest line; what is longer is no line of a runner.
const MAX_LINE: usize = 8 << 10;

/// What a shell runner tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// It owns the attempt.
    Claimed {
        /// Host name.
        host: String,
        /// Boot id of the host.
        boot_id: String,
        /// Runner's process id.
        pid: i32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
        /// Wall clock in milliseconds since the epoch.
        wall_ms: i64,
    },
    /// The script was started.
    Started {
        /// Script's process id.
        pid: i32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
        /// Milliseconds since the claim.
        at_ms: u64,
    },
    /// Output and reports have so many bytes.
    Grew {
        /// Milliseconds since the start.
        at_ms: u64,
        /// Bytes of the log.
        log: u64,
        /// Bytes of the report file.
        report: u64,
    },
    /// Something worth telling people.
    Warned {
        /// Stable slug.
        code: String,
        /// One sentence.
        message: String,
    },
    /// The script could not be started.
    Refused {
        /// `setup` or `infrastructure`.
        class: String,
        /// One sentence.
        reason: String,
    },
    /// The script and its tree have ended; the tail is not of the account.
    Exited(Exit),
    /// Nothing follows.
    Sealed,
}

/// Reader of an account: bytes in as they come, facts out.
#[derive(Clone, Debug, Default)]
pub struct Account {
    line: Vec<u8>,
    checksum: u32,
    number: u64,
    taken: u64,
}

impl Account {
    /// A reader at the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset from which the next bytes must come.
    pub fn wanted(&self) -> u64 {
        self.taken
    }

    /// Takes bytes from [`Self::wanted`] on; gives the facts that are whole. Lines that are not valid behind those before are left out:
    /// a part of a line that a full disk did not take, or what somebody else wrote.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Fact> {
        self.taken += bytes.len() as u64;
        let mut facts = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < MAX_LINE {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            facts.extend(self.take(&String::from_utf8_lossy(&line)));
        }
        facts
    }

    fn take(&mut self, line: &str) -> Option<Fact> {
        let (text, sum) = line.rsplit_once(' ')?;
        let sum: u32 = sum.parse().ok()?;
        if checksum(format!("{} {text}", self.checksum).as_bytes()) != sum {
            return None;
        }
        let (number, text) = text.split_once(' ')?;
        if number.parse() != Ok(self.number) {
            return None;
        }
        self.checksum = sum;
        self.number += 1;
        fact(text)
    }
}

fn fact(text: &str) -> Option<Fact> {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default();
    Some(match word() {
        "claimed" => Fact::Claimed {
            host: word().to_owned(),
            boot_id: word().to_owned(),
            pid: word().parse().ok()?,
            start_ticks: word().parse().ok()?,
            wall_ms: word().parse().ok()?,
        },
        "started" => Fact::Started {
            pid: word().parse().ok()?,
            start_ticks: word().parse().ok()?,
            at_ms: word().parse().ok()?,
        },
        "grew" => Fact::Grew {
            at_ms: word().parse().ok()?,
            log: word().parse().ok()?,
            report: word().parse().ok()?,
        },
        "warned" => Fact::Warned {
            code: word().to_owned(),
            message: words.collect::<Vec<_>>().join(" "),
        },
        "refused" => Fact::Refused {
            class: word().to_owned(),
            reason: words.collect::<Vec<_>>().join(" "),
        },
        "exited" => Fact::Exited(Exit {
            duration_ms: word().parse().ok()?,
            code: word().parse().ok(),
            signal: word().parse().ok(),
            ended_by: Some(word().to_owned()).filter(|by| by != "-"),
            max_rss: None,
            cpu_s: None,
            tail: Vec::new(),
            survivors: words.filter_map(|pid| pid.parse().ok()).collect(),
        }),
        "sealed" => Fact::Sealed,
        _ => return None,
    })
}

/// What POSIX `cksum` says of `bytes`: CRC-32 with the polynomial of Ethernet, most significant bit first, over the bytes and their
/// number, complemented (IEEE Std 1003.1, `cksum`).
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        let mut crc = crc ^ (u32::from(byte) << 24);
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
        crc
    };
    let mut crc = bytes.iter().fold(0, |crc, byte| step(crc, *byte));
    let mut length = bytes.len();
    while length > 0 {
        crc = step(crc, (length & 0xff) as u8);
        length >>= 8;
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `runner.sh` wrote under dash.
    const WRITTEN: &str = "0 claimed vm 83820a62-b13b-4d54-8428-151ae696ff27 6673 3697844 1795543005000 1 1426932926\n\
                           1 started 6701 3697856 80 1694191860\n2 grew 10 8 0 3500420950\n3 grew 590 16 0 2009986668\n\
                           4 exited 520 3 - - 712914931\n5 sealed 3605218889\n";

    #[test]
    fn what_the_script_writes_is_read_in_pieces_of_any_size() {
        for size in [1, 7, 1000] {
            let mut account = Account::new();
            let facts: Vec<Fact> = WRITTEN
                .as_bytes()
                .chunks(size)
                .flat_map(|part| account.push(part))
                .collect();
            assert_eq!(facts.len(), 6);
            assert_eq!(
                facts[2],
                Fact::Grew {
                    at_ms: 10,
                    log: 8,
                    report: 0
                }
            );
            let Fact::Exited(exit) = &facts[4] else { panic!() };
            assert_eq!(
                (exit.code, exit.signal, exit.ended_by.as_deref()),
                (Some(3), None, None)
            );
            assert_eq!(facts[5], Fact::Sealed);
        }
    }

    #[test]
    fn torn_foreign_and_changed_lines_are_no_facts() {
        let whole = |text: &str| Account::new().push(text.as_bytes()).len();
        let torn = WRITTEN.replace("\n2 grew 10", "\n2 gr\n2 grew 10");
        assert_eq!(whole(&torn), 6, "a torn line, then the same fact again");
        let changed = WRITTEN.replace("grew 590 16", "grew 590 17");
        assert_eq!(whole(&changed), 3, "nothing is valid behind it");
        let twice = WRITTEN.replace("2 grew 10 8 0 3500420950\n", "");
        assert_eq!(whole(&twice), 2);
        assert_eq!(whole("\u{0}\u{0}\u{0}\n"), 0);
    }
}

//! Layout of one frame: `magic u16, version u8, kind u8, len u32, seq u64, crc u32, payload`, little endian.
//!
//! The checksum is CRC-32C over the previous frame's checksum (0 before the first), the first 16 bytes and the payload: a frame
//! is only valid behind its predecessor, so frames of another journal or of an earlier life of a reused block never pass.

use super::entry::Entry;

/// Bytes before the payload.
pub const HEADER: usize = 20;
/// Largest payload in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// First two bytes of a frame.
pub(super) const MAGIC: [u8; 2] = [0xd7, 0x0d];
/// Layout version.
pub(super) const VERSION: u8 = 1;
/// Length of the checksummed part of the header.
const COVERED: usize = 16;

/// Fixed-size part of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) len: usize,
    pub(super) seq: u64,
    pub(super) crc: u32,
}

impl Header {
    /// Reads a header; `None` if `bytes` does not begin with one of this version and of a permitted length.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        let [
            m0,
            m1,
            version,
            _kind,
            l0,
            l1,
            l2,
            l3,
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
            c0,
            c1,
            c2,
            c3,
        ] = *bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1] != MAGIC || version != VERSION || len > MAX_PAYLOAD {
            return None;
        }
        let seq = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        Some(Self {
            len,
            seq,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// Whole length of the frame.
    pub(super) fn total(&self) -> usize {
        HEADER + self.len
    }
}

/// What lies at the beginning of some bytes.
pub(super) enum Check<'a> {
    /// A whole valid frame.
    Good(Header, &'a [u8]),
    /// Nothing wrong so far, but the frame is not complete.
    Short,
    /// Not a frame that may stand here.
    Bad,
}

/// Checks the frame at the beginning of `bytes` behind a frame with checksum `previous`.
pub(super) fn check(bytes: &[u8], previous: u32, seq: u64) -> Check<'_> {
    if bytes.len() < HEADER {
        return if MAGIC.starts_with(bytes) || bytes.starts_with(&MAGIC) {
            Check::Short
        } else {
            Check::Bad
        };
    }
    let Some(header) = Header::read(bytes) else {
        return Check::Bad;
    };
    if header.seq != seq {
        return Check::Bad;
    }
    if bytes.len() < header.total() {
        return Check::Short;
    }
    match payload(bytes, header, previous) {
        Some(payload) => Check::Good(header, payload),
        None => Check::Bad,
    }
}

/// The payload of a complete frame if its checksum holds behind `previous`.
pub(super) fn payload(bytes: &[u8], header: Header, previous: u32) -> Option<&[u8]> {
    let payload = bytes.get(HEADER..header.total())?;
    (checksum(previous, bytes.get(..COVERED)?, payload) == header.crc).then_some(payload)
}

fn checksum(previous: u32, covered: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&previous.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, covered), payload)
}

/// Writes the frame around the payload that begins at `HEADER` in `frame`; returns its checksum.
pub(super) fn complete(frame: &mut [u8], kind: u8, seq: u64, previous: u32) -> u32 {
    let len = frame.len().saturating_sub(HEADER) as u32;
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER>() else {
        return previous;
    };
    header[..2].copy_from_slice(&MAGIC);
    header[2] = VERSION;
    header[3] = kind;
    header[4..8].copy_from_slice(&len.to_le_bytes());
    header[8..COVERED].copy_from_slice(&seq.to_le_bytes());
    let crc = checksum(previous, &header[..COVERED], payload);
    header[COVERED..].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The kind byte: lets tools count entries without reading JSON. Readers go by the payload.
pub(super) fn kind(entry: &Entry) -> u8 {
    match entry {
        Entry::Claimed { .. } => 1,
        Entry::Started { .. } => 2,
        Entry::Metric { .. } => 3,
        Entry::Fact { .. } => 4,
        Entry::Artifact { .. } => 5,
        Entry::Warning { .. } => 6,
        Entry::NotStarted { .. } => 7,
        Entry::Exited(_) => 8,
        Entry::Sealed => 9,
        Entry::Frozen { .. } => 10,
        Entry::Thawed { .. } => 11,
        Entry::NotFrozen { .. } => 12,
    }
}

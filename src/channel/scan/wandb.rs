//! W&B offline files: a seven-byte header, LevelDB log blocks of 32 KiB, protobuf records of which the history ones are read.

use super::protobuf::{Fields, Wire};
use super::{Point, Take};
use std::io::Read;

/// `:W&B`, magic, version.
const HEADER: [u8; 7] = [0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0x00];
const BLOCK: usize = 32 << 10;
const RECORD_BYTES_MAX: usize = 8 << 20;

/// Gives the numbers of all history records; ends where the file does not follow the format (still being written).
pub(super) fn read(mut reader: impl Read, take: &mut Take<'_>) {
    let mut block = Vec::with_capacity(BLOCK);
    let mut record = Vec::new();
    let mut first = true;
    loop {
        block.clear();
        match reader.by_ref().take(BLOCK as u64).read_to_end(&mut block) {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let mut rest = block.as_slice();
        if first {
            // The header is part of the first block.
            match rest.strip_prefix(&HEADER) {
                Some(after) => rest = after,
                None => return,
            }
            first = false;
        }
        // Chunk: checksum 4, length 2, type 1 (full, first, middle, last), data. Fewer than seven bytes at the end are filling.
        while let Some((head, after)) = rest.split_first_chunk::<7>() {
            let [_, _, _, _, low, high, kind] = *head;
            let length = usize::from(u16::from_le_bytes([low, high]));
            if kind == 0 && length == 0 {
                break;
            }
            let Some((data, after)) = after.split_at_checked(length) else {
                return;
            };
            rest = after;
            if kind == 1 || kind == 2 {
                record.clear();
            }
            if record.len() + data.len() <= RECORD_BYTES_MAX {
                record.extend_from_slice(data);
            }
            match kind {
                1 | 4 if !history(&record, take) => return,
                1..=4 => {}
                _ => return,
            }
        }
    }
}

/// `Record { 2: History { 1: Item { 1: key, 2: nested_key, 16: value_json }, 2: Step { 1: num } } }`; `false` ends the reading.
fn history(record: &[u8], take: &mut Take<'_>) -> bool {
    let Some(history) = Fields(record).find_map(|(field, value)| value.bytes().filter(|_| field == 2)) else {
        return true;
    };
    let mut step = 0;
    let mut items = Vec::new();
    for (field, value) in Fields(history) {
        match (field, value) {
            (1, Wire::Bytes(item)) => items.extend(number(item)),
            (2, Wire::Bytes(message)) => {
                let found = Fields(message).find_map(|(field, value)| match (field, value) {
                    (1, Wire::Varint(number)) => Some(number.cast_signed()),
                    _ => None,
                });
                step = found.unwrap_or(0);
            }
            _ => {}
        }
    }
    items.into_iter().all(|(name, value)| {
        take(
            &name,
            Point {
                value,
                step: Some(step),
            },
        )
    })
}

/// A number of an item; names that begin with an underscore are the tool's own.
fn number(item: &[u8]) -> Option<(String, f64)> {
    let (mut key, mut nested, mut json) = (None, Vec::new(), None);
    for (field, value) in Fields(item) {
        match field {
            1 => key = value.text().filter(|text| !text.is_empty()),
            2 => nested.extend(value.text()),
            16 => json = value.text(),
            _ => {}
        }
    }
    let name = key.map_or_else(|| nested.join("."), str::to_owned);
    let json = json?.trim();
    let value = match json.trim_matches('"') {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => json.parse().ok()?,
    };
    (!name.is_empty() && !name.starts_with('_')).then_some((name, value))
}

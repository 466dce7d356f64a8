//! TensorBoard event files: TFRecords of `Event` messages; scalars as `simple_value` (1.x, PyTorch) and as tensors (2.x).

use super::protobuf::{Fields, Wire, varint};
use super::{Point, Take};
use std::io::Read;

/// Larger records hold pictures or graphs; they are passed over.
const RECORD_BYTES_MAX: u64 = 8 << 20;

/// Gives all scalars; ends at the first record whose checksum is wrong or that is not whole (a file still being written).
pub(super) fn read(mut reader: impl Read, take: &mut Take<'_>) {
    let mut record = Vec::new();
    let mut head = [0_u8; 12];
    while reader.read_exact(&mut head).is_ok() {
        let (Some(length), Some(check)) = (head.first_chunk::<8>(), head.last_chunk::<4>()) else {
            return;
        };
        if masked(length) != u32::from_le_bytes(*check) {
            return;
        }
        let length = u64::from_le_bytes(*length);
        if length > RECORD_BYTES_MAX {
            let skipped = std::io::copy(
                &mut reader.by_ref().take(length.saturating_add(4)),
                &mut std::io::sink(),
            );
            if skipped.is_err() {
                return;
            }
            continue;
        }
        record.clear();
        let mut check = [0_u8; 4];
        let whole = reader
            .by_ref()
            .take(length)
            .read_to_end(&mut record)
            .is_ok_and(|read| read as u64 == length);
        if !whole || reader.read_exact(&mut check).is_err() || masked(&record) != u32::from_le_bytes(check) {
            return;
        }
        if !event(&record, take) {
            return;
        }
    }
}

/// The checksum of TFRecords: CRC-32C, rotated and shifted (`tensorflow/core/lib/hash/crc32c.h`).
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// `Event { 2: step, 5: Summary { 1: Value } }`; `false` ends the reading.
fn event(record: &[u8], take: &mut Take<'_>) -> bool {
    let mut step = 0;
    let mut summary = None;
    for (field, value) in Fields(record) {
        match (field, value) {
            (2, Wire::Varint(number)) => step = number.cast_signed(),
            (5, Wire::Bytes(bytes)) => summary = Some(bytes),
            _ => {}
        }
    }
    for value in
        Fields(summary.unwrap_or_default()).filter_map(|(field, value)| value.bytes().filter(|_| field == 1))
    {
        if let Some((tag, value)) = scalar(value)
            && !take(
                tag,
                Point {
                    value,
                    step: Some(step),
                },
            )
        {
            return false;
        }
    }
    true
}

/// `Value { 1: tag, 2: simple_value, 8: tensor }`.
fn scalar(message: &[u8]) -> Option<(&str, f64)> {
    let (mut tag, mut number) = (None, None);
    for (field, value) in Fields(message) {
        match (field, value) {
            (1, value) => tag = value.text(),
            (2, Wire::Fixed32(bytes)) => number = Some(widen(f32::from_le_bytes(bytes))),
            (8, Wire::Bytes(tensor)) => number = element(tensor),
            _ => {}
        }
    }
    Some((tag?, number?))
}

/// A double that reads like the float: what the script logged as 0.1 comes back as 0.1.
fn widen(value: f32) -> f64 {
    if value.is_finite() {
        value.to_string().parse().unwrap_or(f64::from(value))
    } else {
        f64::from(value)
    }
}

/// The one element of a tensor of a number type; `None` for all others.
///
/// `TensorProto { 1: dtype, 4: tensor_content, 5: float_val, 6: double_val, 7: int_val, 10: int64_val, 13: half_val }`.
fn element(tensor: &[u8]) -> Option<f64> {
    let mut kind = 0;
    let mut content = None;
    let mut listed = None;
    for (field, value) in Fields(tensor) {
        match (field, value) {
            (1, Wire::Varint(number)) => kind = number,
            (2, Wire::Bytes(shape)) if elements(shape) != 1 => return None,
            (4, Wire::Bytes(bytes)) if !bytes.is_empty() => content = Some(bytes),
            (5 | 6 | 7 | 10 | 13, value) => listed = Some((field, value)),
            _ => {}
        }
    }
    match (kind, content, listed) {
        (1, Some(bytes), _) | (1, None, Some((5, Wire::Bytes(bytes)))) => {
            Some(widen(f32::from_le_bytes(bytes.try_into().ok()?)))
        }
        (1, None, Some((5, Wire::Fixed32(bytes)))) => Some(widen(f32::from_le_bytes(bytes))),
        (2, Some(bytes), _) | (2, None, Some((6, Wire::Bytes(bytes)))) => {
            Some(f64::from_le_bytes(bytes.try_into().ok()?))
        }
        (2, None, Some((6, Wire::Fixed64(bytes)))) => Some(f64::from_le_bytes(bytes)),
        (3, Some(bytes), _) => Some(f64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        (9, Some(bytes), _) => Some(whole(i64::from_le_bytes(bytes.try_into().ok()?))),
        (14, Some(bytes), _) => Some(brain(u16::from_le_bytes(bytes.try_into().ok()?))),
        (19, Some(bytes), _) => Some(half(u16::from_le_bytes(bytes.try_into().ok()?))),
        (3 | 9 | 14 | 19, None, Some((_, value))) => {
            let number = match value {
                Wire::Varint(number) => number,
                Wire::Bytes(mut bytes) => varint(&mut bytes).filter(|_| bytes.is_empty())?,
                _ => return None,
            };
            let bits = || u16::try_from(number).ok();
            match kind {
                14 => bits().map(brain),
                19 => bits().map(half),
                _ => Some(whole(number.cast_signed())),
            }
        }
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double")]
fn whole(value: i64) -> f64 {
    value as f64
}

/// bfloat16: the upper half of a float.
fn brain(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    };
    if sign == 1 { -size } else { size }
}

/// `TensorShapeProto { 2: Dim { 1: size } }`: the product, 1 for a scalar.
fn elements(shape: &[u8]) -> u64 {
    Fields(shape)
        .filter(|(field, _)| *field == 2)
        .map(|(_, dimension)| {
            Fields(dimension.bytes().unwrap_or_default())
                .find_map(|(field, value)| match (field, value) {
                    (1, Wire::Varint(size)) => Some(size),
                    _ => None,
                })
                .unwrap_or(0)
        })
        .fold(1, u64::saturating_mul)
}

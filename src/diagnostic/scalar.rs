//! What a plain scalar means, by dialect: YAML 1.2 as ruamel.yaml reads it, YAML 1.1 as PyYAML reads it.
//!
//! The old tools read hdconfig and runconfig with the former, v2 jobs with the latter. No crate reproduces either, and the
//! difference matters: `1e-3` is a number in one and a text in the other. Both tables are tests below.

use super::node::Kind;

/// Which loader's rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// YAML 1.2 as ruamel.yaml: hdconfig, runconfig, `overdrive.yml`.
    Yaml12,
    /// YAML 1.1 as PyYAML: v2 job files, conda files.
    Yaml11,
}

/// The value of a plain (unquoted) scalar.
pub fn resolve(text: &str, dialect: Dialect) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    if dialect == Dialect::Yaml11 {
        match text {
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Kind::Bool(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Kind::Bool(false),
            _ => {}
        }
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Kind::Str(text.to_owned());
    }
    if let Some(kind) = integer(text, dialect).or_else(|| float(text, dialect)) {
        return kind;
    }
    if is_date(text) {
        return Kind::Date(text.to_owned());
    }
    Kind::Str(text.to_owned())
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    }
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn in_radix(negative: bool, digits: &str, radix: u32) -> Option<Kind> {
    let digits = digits.replace('_', "");
    let sign = if negative { "-" } else { "" };
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Kind::Int(value));
    }
    let mut value = 0.0;
    for digit in digits.chars() {
        value = value * f64::from(radix) + f64::from(digit.to_digit(radix)?);
    }
    // Decimal digits beyond 64 bits: the correctly rounded double, not the accumulated one.
    if radix == 10 {
        value = digits.parse().ok()?;
    }
    (!digits.is_empty()).then_some(Kind::Float(if negative { -value } else { value }))
}

fn integer(text: &str, dialect: Dialect) -> Option<Kind> {
    let (negative, body) = signed(text);
    let digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    if let Some(rest) = body.strip_prefix("0b")
        && all(rest, |byte| matches!(byte, b'0' | b'1' | b'_'))
    {
        return in_radix(negative, rest, 2);
    }
    if let Some(rest) = body.strip_prefix("0x")
        && all(rest, |byte| byte.is_ascii_hexdigit() || byte == b'_')
    {
        return in_radix(negative, rest, 16);
    }
    match dialect {
        Dialect::Yaml12 => {
            if let Some(rest) = body.strip_prefix("0o")
                && all(rest, |byte| matches!(byte, b'0'..=b'7' | b'_'))
            {
                return in_radix(negative, rest, 8);
            }
            all(body, digit).then(|| in_radix(negative, body, 10)).flatten()
        }
        Dialect::Yaml11 => {
            if body == "0" {
                return Some(Kind::Int(0));
            }
            if let Some(rest) = body.strip_prefix('0') {
                return all(rest, |byte| matches!(byte, b'0'..=b'7' | b'_'))
                    .then(|| in_radix(negative, rest, 8))
                    .flatten();
            }
            if !body.starts_with(|first: char| first.is_ascii_digit()) {
                return None;
            }
            if all(body, digit) {
                return in_radix(negative, body, 10);
            }
            let value = sexagesimal(body)?;
            (value.fract() == 0.0 && value < 9e15 && !body.contains('.')).then_some(Kind::Int(if negative {
                -value
            } else {
                value
            }
                as i64))
        }
    }
}

/// `1:30` and `190:20:30.15` of YAML 1.1: base 60, every part but the first below 60.
fn sexagesimal(body: &str) -> Option<f64> {
    let (first, rest) = body.split_once(':')?;
    if !all(first, |byte| byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let mut value: f64 = first.replace('_', "").parse().ok()?;
    let parts: Vec<&str> = rest.split(':').collect();
    for (index, part) in parts.iter().enumerate() {
        let (whole, fraction) = match part.split_once('.') {
            Some((whole, fraction)) if index + 1 == parts.len() => (whole, Some(fraction)),
            Some(_) => return None,
            None => (*part, None),
        };
        if whole.len() > 2 || !all(whole, |byte| byte.is_ascii_digit()) || (whole.len() == 2 && whole >= "60")
        {
            return None;
        }
        let fraction = fraction.unwrap_or_default().replace('_', "");
        value = value * 60.0 + format!("{whole}.{fraction}0").parse::<f64>().ok()?;
    }
    Some(value)
}

fn float(text: &str, dialect: Dialect) -> Option<Kind> {
    let (negative, body) = signed(text);
    match body {
        ".inf" | ".Inf" | ".INF" => {
            return Some(Kind::Float(if negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            }));
        }
        ".nan" | ".NaN" | ".NAN" if body.len() == text.len() => return Some(Kind::Float(f64::NAN)),
        _ => {}
    }
    let bare = body.len() == text.len();
    if dialect == Dialect::Yaml11 && body.contains(':') {
        let value = body.contains('.').then(|| sexagesimal(body)).flatten()?;
        return Some(Kind::Float(if negative { -value } else { value }));
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (body.get(..at)?, Some(body.get(at + 1..)?)),
        None => (body, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    let starts_with_digit = whole.starts_with(|first: char| first.is_ascii_digit());
    let exponent_signed = exponent.is_none_or(|text| text.starts_with(['+', '-']));
    if let Some(exponent) = exponent
        && !all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), |byte| {
            byte.is_ascii_digit()
        })
    {
        return None;
    }
    if !whole.bytes().all(digit) || !fraction.unwrap_or_default().bytes().all(digit) {
        return None;
    }
    let matches = match (starts_with_digit, fraction) {
        // 1.5, 1., 1.5e3 (1.1 wants a sign in the exponent).
        (true, Some(_)) => dialect == Dialect::Yaml12 || exponent_signed,
        // 1e3: a number in 1.2 only.
        (true, None) => dialect == Dialect::Yaml12 && exponent.is_some(),
        // .5: both loaders want a sign in the exponent; 1.1 also wants no sign in front.
        (false, Some(fraction)) => {
            whole.is_empty()
                && fraction.starts_with(|first: char| first.is_ascii_digit())
                && exponent_signed
                && (dialect == Dialect::Yaml12 || bare)
        }
        (false, None) => false,
    };
    if !matches {
        return None;
    }
    let value: f64 = body.replace('_', "").parse().ok()?;
    Some(Kind::Float(if negative { -value } else { value }))
}

/// `2020-01-01` and `2001-12-14t21:59:43.10-05:00`: what both loaders turn into a date.
fn is_date(text: &str) -> bool {
    let number = |text: &str, from: usize, to: usize| {
        (from..=to).contains(&text.len()) && all(text, |byte| byte.is_ascii_digit())
    };
    let Some((year, rest)) = text.split_once('-') else {
        return false;
    };
    let Some((month, rest)) = rest.split_once('-') else {
        return false;
    };
    if !number(year, 4, 4) {
        return false;
    }
    if number(month, 2, 2) && number(rest, 2, 2) {
        return true;
    }
    let Some(at) = rest.find(['T', 't', ' ', '\t']) else {
        return false;
    };
    let (day, time) = rest.split_at(at);
    let time = time.strip_prefix(['T', 't']).unwrap_or(time).trim_start();
    let mut parts = time.splitn(3, ':');
    let (Some(hour), Some(minute), Some(second)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    number(month, 1, 2)
        && number(day, 1, 2)
        && number(hour, 1, 2)
        && number(minute, 2, 2)
        && second.get(..2).is_some_and(|second| number(second, 2, 2))
        && second.get(2..).is_some_and(|zone| {
            zone.bytes()
                .all(|byte| byte.is_ascii_digit() || b".Z+-: \t".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::Dialect::{Yaml11, Yaml12};
    use super::*;

    fn text(text: &str) -> Kind {
        Kind::Str(text.into())
    }

    #[test]
    fn both_loaders_as_measured() {
        let date = |text: &str| Kind::Date(text.into());
        for (scalar, pyyaml, ruamel) in [
            ("yes", Kind::Bool(true), text("yes")),
            ("no", Kind::Bool(false), text("no")),
            ("on", Kind::Bool(true), text("on")),
            ("off", Kind::Bool(false), text("off")),
            ("y", text("y"), text("y")),
            ("True", Kind::Bool(true), Kind::Bool(true)),
            ("tRUE", text("tRUE"), text("tRUE")),
            ("0123", Kind::Int(83), Kind::Int(123)),
            ("017", Kind::Int(15), Kind::Int(17)),
            ("08", text("08"), Kind::Int(8)),
            ("0o17", text("0o17"), Kind::Int(15)),
            ("0x1f", Kind::Int(31), Kind::Int(31)),
            ("0b11", Kind::Int(3), Kind::Int(3)),
            ("1e3", text("1e3"), Kind::Float(1000.0)),
            ("1e-3", text("1e-3"), Kind::Float(0.001)),
            ("1E5", text("1E5"), Kind::Float(100_000.0)),
            ("1.e+3", Kind::Float(1000.0), Kind::Float(1000.0)),
            ("1.5e3", text("1.5e3"), Kind::Float(1500.0)),
            ("1.0e-3", Kind::Float(0.001), Kind::Float(0.001)),
            (".5", Kind::Float(0.5), Kind::Float(0.5)),
            ("-.5", text("-.5"), Kind::Float(-0.5)),
            (".5e3", text(".5e3"), text(".5e3")),
            ("+1", Kind::Int(1), Kind::Int(1)),
            ("-7", Kind::Int(-7), Kind::Int(-7)),
            ("12:30", Kind::Int(750), text("12:30")),
            ("1:30:00", Kind::Int(5400), text("1:30:00")),
            ("1:61", text("1:61"), text("1:61")),
            ("190:20:30.15", Kind::Float(685_230.15), text("190:20:30.15")),
            ("1_000", Kind::Int(1000), Kind::Int(1000)),
            ("2001-01-01", date("2001-01-01"), date("2001-01-01")),
            (
                "2001-12-14 21:59:43.10 -5",
                date("2001-12-14 21:59:43.10 -5"),
                date("2001-12-14 21:59:43.10 -5"),
            ),
            (".inf", Kind::Float(f64::INFINITY), Kind::Float(f64::INFINITY)),
            (
                "-.inf",
                Kind::Float(f64::NEG_INFINITY),
                Kind::Float(f64::NEG_INFINITY),
            ),
            (
                "12345678901234567890123",
                Kind::Float(1.234_567_890_123_456_8e22),
                Kind::Float(1.234_567_890_123_456_8e22),
            ),
            ("null", Kind::Null, Kind::Null),
            ("~", Kind::Null, Kind::Null),
            ("1.2.3", text("1.2.3"), text("1.2.3")),
            ("-", text("-"), text("-")),
            ("-p", text("-p"), text("-p")),
            ("--penalty", text("--penalty"), text("--penalty")),
            ("+_", text("+_"), text("+_")),
            ("._", text("._"), text("._")),
            ("é", text("é"), text("é")),
            ("1é", text("1é"), text("1é")),
        ] {
            assert_eq!(resolve(scalar, Yaml11), pyyaml, "PyYAML {scalar}");
            assert_eq!(resolve(scalar, Yaml12), ruamel, "ruamel {scalar}");
        }
        assert!(matches!(resolve(".nan", Yaml12), Kind::Float(value) if value.is_nan()));
        assert_eq!(resolve("-.nan", Yaml12), text("-.nan"));
    }
}

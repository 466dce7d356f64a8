//! What a real `azureml-core` prints when its run is offline: `Attempted to log scalar metric NAME:` and the value on the next line.
//!
//! The last resort where the shim cannot be put in front (`python -I`). Kinds read: scalar, list (each element is a report), row
//! and table (columns that are wanted by their own name or as `NAME.COLUMN`), tags.

use super::Report;
use crate::journal::Channel;

/// Reads the two-line form.
#[derive(Clone, Debug, Default)]
pub struct OfflineParser {
    wanted: Vec<String>,
    pending: Option<(Kind, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Scalar,
    List,
    Row,
    Table,
}

impl OfflineParser {
    /// `wanted` decides which columns of rows and tables are metrics.
    pub fn new(wanted: &[String]) -> Self {
        Self {
            wanted: wanted.to_vec(),
            pending: None,
        }
    }

    /// Whether the next line is the value of a message.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Reads one line; `true` if it belonged to this form.
    pub fn line(&mut self, line: &str, out: &mut Vec<Report>) -> bool {
        if let Some((kind, name)) = self.pending.take() {
            self.value(kind, &name, line, out);
            return true;
        }
        let Some(rest) = line.strip_prefix("Attempted to ") else {
            return false;
        };
        if let Some(rest) = rest.strip_prefix("add tag ") {
            let Some((key, value)) = rest.split_once(" with value ") else {
                return false;
            };
            out.push(Report::Fact {
                kind: "tag".into(),
                key: key.into(),
                value: value.into(),
            });
            return true;
        }
        let Some((kind, name)) = rest
            .strip_prefix("log ")
            .and_then(|rest| rest.split_once(" metric "))
        else {
            return false;
        };
        let kind = match kind {
            "scalar" => Kind::Scalar,
            "list" => Kind::List,
            "row" => Kind::Row,
            "table" => Kind::Table,
            _ => return false,
        };
        let Some(name) = name.strip_suffix(':') else {
            return false;
        };
        self.pending = Some((kind, name.to_owned()));
        true
    }

    fn value(&self, kind: Kind, name: &str, line: &str, out: &mut Vec<Report>) {
        let mut push = |name: &str, value: f64| {
            out.push(Report::Metric {
                name: name.to_owned(),
                value,
                step: None,
                channel: Channel::Offline,
            });
        };
        let literal = Literal::parse(line);
        match (kind, literal) {
            (Kind::Scalar, Some(literal)) if literal.number().is_some() => {
                push(name, literal.number().unwrap_or(f64::NAN))
            }
            (Kind::Scalar, _) => out.push(Report::Fact {
                kind: "value".into(),
                key: name.to_owned(),
                value: line.chars().take(1000).collect(),
            }),
            (Kind::List, Some(Literal::List(items))) => items
                .iter()
                .filter_map(Literal::number)
                .for_each(|value| push(name, value)),
            (Kind::Row | Kind::Table, Some(Literal::Dict(columns))) => {
                for (column, value) in &columns {
                    let Some(metric) = self.column(name, column) else {
                        continue;
                    };
                    match value {
                        Literal::List(items) => items
                            .iter()
                            .filter_map(Literal::number)
                            .for_each(|value| push(&metric, value)),
                        single => single.number().into_iter().for_each(|value| push(&metric, value)),
                    }
                }
            }
            _ => {}
        }
    }

    fn column(&self, table: &str, column: &str) -> Option<String> {
        let dotted = format!("{table}.{column}");
        [column.to_owned(), dotted]
            .into_iter()
            .find(|name| self.wanted.contains(name))
    }
}

/// A value as Python prints it; what is not understood is `Other`.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Text(String),
    List(Vec<Literal>),
    Dict(Vec<(String, Literal)>),
    Other,
}

impl Literal {
    fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor { rest: text.trim() };
        let literal = cursor.literal(0)?;
        cursor.rest.trim().is_empty().then_some(literal)
    }

    fn number(&self) -> Option<f64> {
        if let Self::Number(value) = self {
            Some(*value)
        } else {
            None
        }
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, depth: u8) -> Option<Literal> {
        if depth > 16 {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '[' => self.items('[', ']', depth).map(Literal::List),
            '(' => self.items('(', ')', depth).map(Literal::List),
            '{' => self.dict(depth),
            quote @ ('\'' | '"') => self.text(quote).map(Literal::Text),
            _ => self.word(depth),
        }
    }

    fn items(&mut self, open: char, close: char, depth: u8) -> Option<Vec<Literal>> {
        self.eat(open);
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.literal(depth + 1)?);
            if !self.eat(',') {
                return self.eat(close).then_some(items);
            }
        }
        Some(items)
    }

    fn dict(&mut self, depth: u8) -> Option<Literal> {
        self.eat('{');
        let mut entries = Vec::new();
        while !self.eat('}') {
            let key = match self.literal(depth + 1)? {
                Literal::Text(text) => text,
                Literal::Number(number) => number.to_string(),
                _ => return None,
            };
            if !self.eat(':') {
                return None;
            }
            entries.push((key, self.literal(depth + 1)?));
            if !self.eat(',') {
                return self.eat('}').then_some(Literal::Dict(entries));
            }
        }
        Some(Literal::Dict(entries))
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut chars = self.rest.char_indices();
        chars.next();
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            if c == quote {
                self.rest = self.rest.get(index + quote.len_utf8()..)?;
                return Some(text);
            }
            text.push(if c == '\\' { chars.next()?.1 } else { c });
        }
        None
    }

    /// A number, a name (`True`, `None`, `nan`) or a call such as `np.float64(0.5)`.
    fn word(&mut self, depth: u8) -> Option<Literal> {
        let length = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && !"+-._".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(length)?;
        if word.is_empty() {
            return None;
        }
        self.rest = rest;
        if rest.starts_with('(') {
            let mut items = self.items('(', ')', depth)?;
            return Some(if items.is_empty() {
                Literal::Other
            } else {
                items.swap_remove(0)
            });
        }
        Some(match word {
            "True" => Literal::Number(1.0),
            "False" => Literal::Number(0.0),
            _ => word.parse().map_or(Literal::Other, Literal::Number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Vec<(String, f64)> {
        let mut parser = OfflineParser::new(&["loss".to_owned(), "table.acc".to_owned()]);
        let mut out = Vec::new();
        for line in text.lines() {
            parser.line(line, &mut out);
        }
        out.into_iter()
            .filter_map(|report| match report {
                Report::Metric { name, value, .. } => Some((name, value)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_printed_forms() {
        let text = "Attempted to log scalar metric Final test accuracy:\n0.93\n\
            Attempted to log scalar metric kernel:\nrbf\n\
            Attempted to log list metric fib:\n[1, 1, np.float64(2.0), nan]\n\
            Attempted to log row metric row:\n{'loss': 0.5, 'acc': 0.1, 'name': 'it\\'s'}\n\
            Attempted to log table metric table:\n{'acc': [0.1, 0.2], 'x': 3}\n\
            Attempted to log image metric i:\nplot.png\n";
        let found = parse(text);
        assert_eq!(found[0], ("Final test accuracy".to_owned(), 0.93));
        assert_eq!(
            found[1..4],
            [
                ("fib".to_owned(), 1.0),
                ("fib".to_owned(), 1.0),
                ("fib".to_owned(), 2.0)
            ]
        );
        assert!(found[4].1.is_nan());
        assert_eq!(
            found[5..],
            [
                ("loss".to_owned(), 0.5),
                ("table.acc".to_owned(), 0.1),
                ("table.acc".to_owned(), 0.2)
            ]
        );
    }

    #[test]
    fn text_values_and_tags_are_facts() {
        let mut parser = OfflineParser::default();
        let mut out = Vec::new();
        assert!(parser.line("Attempted to log scalar metric k:", &mut out));
        assert!(parser.line("rbf", &mut out));
        assert!(parser.line("Attempted to add tag a with value b c", &mut out));
        assert!(!parser.line("Attempted to leave", &mut out));
        assert_eq!(
            out,
            [
                Report::Fact {
                    kind: "value".into(),
                    key: "k".into(),
                    value: "rbf".into()
                },
                Report::Fact {
                    kind: "tag".into(),
                    key: "a".into(),
                    value: "b c".into()
                },
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_value_panics(text in r#"[{}()\[\]"':,\\a-z0-9. é-]{0,60}"#) {
            for kind in ["scalar", "list", "row", "table"] {
                parse(&format!("Attempted to log {kind} metric x:\n{text}\n{text}"));
            }
        }
    }
}

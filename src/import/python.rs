//! Literals as Python prints them (`{'lr': 0.1, 'layers': [1, 2], 'name': None}`): what `str` of a dictionary leaves in a cell of a table.

use serde_json::{Map, Value as Json};

/// Reads one literal: numbers, texts, `True`, `False`, `None`, `nan`, `inf`, lists, tuples, dictionaries. Nothing is evaluated.
///
/// # Errors
/// What was expected, and at which character.
pub(super) fn parse(text: &str) -> Result<Json, String> {
    let mut reader = Reader {
        characters: text.chars().collect(),
        at: 0,
        depth: 0,
    };
    let value = reader.value()?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.expected("the end")),
    }
}

/// Nesting beyond this is refused.
const DEPTH: usize = 64;

struct Reader {
    characters: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what} at character {}", self.at + 1)
    }

    fn take(&mut self, c: char) -> bool {
        self.space();
        let taken = self.peek() == Some(c);
        self.at += usize::from(taken);
        taken
    }

    fn value(&mut self) -> Result<Json, String> {
        self.space();
        if self.depth >= DEPTH {
            return Err(self.expected("less nesting"));
        }
        self.depth += 1;
        let value = match self.peek() {
            Some('{') => self.map(),
            Some('[') => self.list(']'),
            Some('(') => self.list(')'),
            Some(quote @ ('\'' | '"')) => self.text(quote).map(Json::String),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn map(&mut self) -> Result<Json, String> {
        self.at += 1;
        let mut fields = Map::new();
        while !self.take('}') {
            let key = match self.value()? {
                Json::String(key) => key,
                other => other.to_string(),
            };
            if !self.take(':') {
                return Err(self.expected("`:`"));
            }
            fields.insert(key, self.value()?);
            if !self.take(',') {
                if self.take('}') {
                    break;
                }
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(Json::Object(fields))
    }

    fn list(&mut self, end: char) -> Result<Json, String> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.value()?);
            if !self.take(',') {
                if self.take(end) {
                    break;
                }
                return Err(self.expected(&format!("`,` or `{end}`")));
            }
        }
        Ok(Json::Array(items))
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                _ if c == quote => return Ok(out),
                '\\' => {
                    let escaped = self.peek().ok_or_else(|| self.expected("a character"))?;
                    self.at += 1;
                    out.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    });
                }
                _ => out.push(c),
            }
        }
        Err(self.expected(&format!("`{quote}`")))
    }

    fn word(&mut self) -> Result<Json, String> {
        let begin = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || "+-._".contains(c))
        {
            self.at += 1;
        }
        let word: String = self
            .characters
            .get(begin..self.at)
            .unwrap_or_default()
            .iter()
            .collect();
        Ok(match word.as_str() {
            "True" => Json::Bool(true),
            "False" => Json::Bool(false),
            "None" => Json::Null,
            "nan" => Json::String("NaN".into()),
            "inf" => Json::String("Infinity".into()),
            "-inf" => Json::String("-Infinity".into()),
            _ => match (word.parse::<i64>(), super::scalar::number(&word)) {
                (Ok(whole), _) => Json::from(whole),
                (_, Some(real)) => Json::from(real),
                _ => {
                    self.at = begin;
                    return Err(self.expected("a value"));
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_nothing_else() {
        let json =
            parse(r#"{'lr': 1e-3, 'n': [1, 2,], 'who': "it's", 'none': None, 't': (True, nan), 'e': {}}"#)
                .unwrap();
        assert_eq!(json["lr"], 1e-3);
        assert_eq!(json["n"][1], 2);
        assert_eq!(json["who"], "it's");
        assert!(json["none"].is_null());
        assert_eq!(json["t"][1], "NaN");
        for wrong in [
            "{'a': open('x')}",
            "{'a' 1}",
            "[1, 2",
            "'a",
            "__import__('os')",
            "1 2",
        ] {
            assert!(parse(wrong).unwrap_err().starts_with("expected"), "{wrong}");
        }
        assert!(parse(&"[".repeat(1000)).is_err());
    }
}

//! Fields of a kind's forms and commands: `attach KIND --flag VALUE`, the same in the studio, and the keys of the file.

/// One thing that can be said about a target: a key of its section, and the flag of the same name with hyphens.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key of the section; empty for what is the section itself.
    pub key: &'static str,
    /// The flag without its hyphens, where it is not the key.
    pub flag: Option<&'static str>,
    /// One letter for the flag.
    pub short: Option<char>,
    /// Other words for the flag, of old scripts.
    pub aliases: &'static [&'static str],
    /// One sentence for help and forms, with the default.
    pub help: &'static str,
    /// What it takes.
    pub value: Value,
    /// Whether it must be given.
    pub required: bool,
}

/// What a field takes, and how it stands in the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text; the word stands for it in help.
    Text(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number, 0 or more.
    Count(&'static str),
    /// A number.
    Number(&'static str),
    /// Given or not: `true`.
    Switch,
    /// Texts, one each time the flag is given: a list.
    Texts(&'static str),
    /// `KEY=VALUE`, one each time the flag is given: a mapping.
    Pairs,
    /// A file of this computer; made absolute.
    File,
    /// A secret. It stands as `file:PATH` or `env:NAME`; the flags `--KEY`, `--KEY-file`, `--KEY-env` and `--ask-KEY` give it.
    Secret,
    /// How a machine is reached by SSH: the flags of `attach remote`, a section of that kind.
    Ssh,
}

impl Field {
    /// A field that need not be given.
    pub const fn new(key: &'static str, value: Value, help: &'static str) -> Self {
        Self {
            key,
            flag: None,
            short: None,
            aliases: &[],
            help,
            value,
            required: false,
        }
    }

    /// The same, to be given always.
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The same with a flag of another name.
    pub const fn flag(self, flag: &'static str) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    /// The same with a letter.
    pub const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    /// The same with other words.
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The flag, without its hyphens.
    pub fn name(&self) -> String {
        self.flag
            .map_or_else(|| self.key.replace('_', "-"), str::to_owned)
    }
}

//! Arguments of `target attach|create|update KIND`, made from the fields that the kind declares.

use super::target::{Filing, Reach, TargetName};
use crate::target::kind::{Field, KINDS, Kind, Value};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, Subcommand, value_parser};
use serde_json::{Map, Value as Json, json};
use std::marker::PhantomData;
use std::path::PathBuf;

/// One of the verbs that kinds have.
pub trait Verb {
    /// Whether the kind has it.
    fn takes(kind: &Kind) -> bool;
    /// Whether it makes a target, so that what is required must be given.
    const MAKES: bool;
}

/// `attach`.
#[derive(Clone, Copy, Debug)]
pub struct Attaching;
/// `create`.
#[derive(Clone, Copy, Debug)]
pub struct Creating;
/// `update`.
#[derive(Clone, Copy, Debug)]
pub struct Updating;

impl Verb for Attaching {
    fn takes(kind: &Kind) -> bool {
        kind.attached
    }
    const MAKES: bool = true;
}

impl Verb for Creating {
    fn takes(kind: &Kind) -> bool {
        !kind.attached
    }
    const MAKES: bool = true;
}

impl Verb for Updating {
    fn takes(_: &Kind) -> bool {
        true
    }
    const MAKES: bool = false;
}

/// What was given of a kind that declares its fields.
#[derive(Clone, Debug)]
pub struct Declared<V> {
    /// The kind.
    pub kind: &'static Kind,
    /// How the target is filed; of `update` only its name and folder mean something.
    pub filing: Filing,
    /// Keys of its section with their values.
    pub given: Map<String, Json>,
    /// Secrets by key.
    pub secrets: Vec<(&'static str, GivenSecret)>,
    /// Machines by SSH by key.
    pub machines: Vec<(&'static str, Reach)>,
    verb: PhantomData<V>,
}

/// How a secret was given.
#[derive(Clone, Debug, Default)]
pub struct GivenSecret {
    /// On the command line, where others can see it while the command runs.
    pub typed: Option<String>,
    /// It is to be asked for.
    pub ask: bool,
    /// File that holds it.
    pub file: Option<PathBuf>,
    /// Variable that holds it.
    pub variable: Option<String>,
}

fn kinds<V: Verb>() -> impl Iterator<Item = &'static Kind> {
    KINDS
        .into_iter()
        .filter(|kind| !kind.fields.is_empty() && V::takes(kind))
}

fn command<V: Verb>(kind: &'static Kind) -> Command {
    let command = Command::new(kind.word).aliases(kind.aliases);
    let command = if V::MAKES {
        Filing::augment_args(command)
    } else {
        TargetName::augment_args(command)
    };
    let command = kind.fields.iter().fold(command, |command, field| {
        if field.value == Value::Ssh {
            return Reach::augment_args(command);
        }
        command.args(arguments(field, V::MAKES))
    });
    // Last, since each group of arguments brings a text of its own.
    command.about(kind.about.trim_end_matches('.')).long_about(None)
}

/// The flags of a field.
fn arguments(field: &'static Field, makes: bool) -> Vec<Arg> {
    let name = field.name();
    let base = Arg::new(field.key)
        .long(name.clone())
        .help(field.help)
        .required(field.required && makes)
        .aliases(field.aliases);
    let base = match field.short {
        Some(letter) => base.short(letter),
        None => base,
    };
    match field.value {
        Value::Text(word) => vec![base.value_name(word)],
        Value::Word(words) => vec![
            base.value_name("WORD")
                .ignore_case(true)
                .value_parser(PossibleValuesParser::new(words)),
        ],
        Value::Count(word) => vec![base.value_name(word).value_parser(value_parser!(u64))],
        Value::Number(word) => vec![base.value_name(word).value_parser(value_parser!(f64))],
        Value::Switch => vec![base.action(ArgAction::SetTrue)],
        Value::Texts(word) => vec![
            base.value_name(word)
                .action(ArgAction::Append)
                .allow_hyphen_values(true),
        ],
        Value::Pairs => vec![base.value_name("KEY=VALUE").action(ArgAction::Append)],
        Value::File => vec![base.value_name("FILE").value_parser(value_parser!(PathBuf))],
        Value::Secret => {
            let [ask, file, variable] = secret_names(field);
            vec![
                base.value_name("SECRET").required(false),
                Arg::new(ask.clone())
                    .long(ask)
                    .action(ArgAction::SetTrue)
                    .help("Ask for it"),
                Arg::new(file.clone())
                    .long(file)
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("File with it, readable by its owner alone"),
                Arg::new(variable.clone())
                    .long(variable)
                    .value_name("NAME")
                    .help("Variable that holds it"),
            ]
        }
        Value::Ssh => Vec::new(),
    }
}

/// Names of the flags that ask for a secret, name its file, name its variable.
fn secret_names(field: &Field) -> [String; 3] {
    let name = field.name();
    [
        format!("ask-{name}"),
        format!("{name}-file"),
        format!("{name}-env"),
    ]
}

impl<V: Verb> Declared<V> {
    fn read(kind: &'static Kind, matches: &ArgMatches) -> Result<Self, Error> {
        let filing = if V::MAKES {
            Filing::from_arg_matches(matches)?
        } else {
            let TargetName { name, folder } = TargetName::from_arg_matches(matches)?;
            Filing {
                name,
                folder,
                description: None,
                tag: Vec::new(),
                cost_per_hour: None,
                user: false,
                no_wait: true,
            }
        };
        let mut read = Self {
            kind,
            filing,
            given: Map::new(),
            secrets: Vec::new(),
            machines: Vec::new(),
            verb: PhantomData,
        };
        for field in kind.fields {
            read.take(field, matches)?;
        }
        Ok(read)
    }

    fn take(&mut self, field: &'static Field, matches: &ArgMatches) -> Result<(), Error> {
        let key = field.key;
        let value = match field.value {
            Value::Text(_) | Value::Word(_) => matches.get_one::<String>(key).map(|text| json!(text)),
            Value::Count(_) => matches.get_one::<u64>(key).map(|count| json!(count)),
            Value::Number(_) => matches.get_one::<f64>(key).map(|number| json!(number)),
            Value::Switch => matches.get_flag(key).then(|| json!(true)),
            Value::Texts(_) => matches
                .get_many::<String>(key)
                .map(|texts| texts.map(|text| json!(text)).collect()),
            Value::Pairs => match matches.get_many::<String>(key) {
                Some(pairs) => Some(Json::Object(pairs.map(pair).collect::<Result<_, _>>()?)),
                None => None,
            },
            Value::File => match matches.get_one::<PathBuf>(key) {
                Some(path) => Some(json!(std::path::absolute(path)?)),
                None => None,
            },
            Value::Secret => {
                let [ask, file, variable] = secret_names(field);
                let secret = GivenSecret {
                    typed: matches.get_one::<String>(key).cloned(),
                    ask: matches.get_flag(&ask),
                    file: matches.get_one::<PathBuf>(&file).cloned(),
                    variable: matches.get_one::<String>(&variable).cloned(),
                };
                self.secrets.push((key, secret));
                None
            }
            Value::Ssh => {
                self.machines.push((key, Reach::from_arg_matches(matches)?));
                None
            }
        };
        if let Some(value) = value {
            self.given.insert(key.to_owned(), value);
        }
        Ok(())
    }
}

fn pair(pair: &String) -> Result<(String, Json), Error> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), json!(value))),
        _ => Err(Error::raw(
            ErrorKind::ValueValidation,
            format!("`{pair}` is not of the form KEY=VALUE\n"),
        )),
    }
}

impl<V: Verb> FromArgMatches for Declared<V> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        match matches.subcommand() {
            Some((word, matches)) => match kinds::<V>().find(|kind| kind.word == word) {
                Some(kind) => Self::read(kind, matches),
                None => Err(Error::raw(
                    ErrorKind::InvalidSubcommand,
                    format!("no kind is called `{word}`\n"),
                )),
            },
            None => Err(Error::raw(ErrorKind::MissingSubcommand, "no kind is given\n")),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<V: Verb> Subcommand for Declared<V> {
    fn augment_subcommands(commands: Command) -> Command {
        commands.subcommands(kinds::<V>().map(command::<V>))
    }

    fn augment_subcommands_for_update(commands: Command) -> Command {
        Self::augment_subcommands(commands)
    }

    fn has_subcommand(name: &str) -> bool {
        kinds::<V>().any(|kind| kind.word == name)
    }
}

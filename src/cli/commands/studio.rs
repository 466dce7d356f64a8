//! `studio`: serves the page, or gives a new link to one that is being served; also beside `run --studio`.

use crate::cli::args::{Globals, Studio as Arguments};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::studio::{Access, Certificate, Door, Prices, Settings, Studio, TargetField, TargetKind, serve};
use clap::CommandFactory as _;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Port unless `--port` says otherwise; if it is taken, one of the next.
const PORT: u16 = 8712;
const PORTS: u16 = 20;

/// Where the state folder says how a running studio is reached.
const ADDRESS_FILE: &str = "studio.address";
const TOKEN_FILE: &str = "studio.token";

/// Folder of the certificates made here, below the state folder.
const CERTIFICATES: &str = "studio-tls";

/// Serves the studio until Ctrl-C, or prints a new link to a running one.
pub(super) fn studio(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let home = place::state_folder(globals)?;
    if arguments.link {
        return link(&home, output);
    }
    let way = Way::chosen(arguments)?;
    let server = Server::open(&home, way, arguments.name.clone(), arguments.read_only)?;
    let runtime = super::runtime()?;
    // Whoever reads the link may end the studio at once: it has to listen to that before.
    let term = {
        let _within = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    };
    server.announce(output)?;
    runtime.block_on(server.serve(async {
        match term {
            Ok(mut term) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = term.recv() => {}
                }
            }
            Err(_) => {
                let _ = tokio::signal::ctrl_c().await;
            }
        }
    }))?;
    Ok(exit::OK)
}

/// How the studio is reached.
#[derive(Debug, PartialEq)]
enum Way {
    /// On this computer, or where somebody says that the network is trusted.
    Plain(IpAddr, Option<u16>),
    /// With the certificate and the key of two files, or with one of its own.
    Encrypted(IpAddr, Option<u16>, Option<(PathBuf, PathBuf)>),
    /// Through a socket in the file system.
    Socket(PathBuf),
}

impl Way {
    /// What leaves this computer is encrypted, unless somebody says otherwise.
    fn chosen(arguments: &Arguments) -> Result<Self, CliError> {
        if let Some(path) = &arguments.socket {
            return Ok(Self::Socket(std::path::absolute(path)?));
        }
        let host = arguments.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if host.is_unspecified() && arguments.name.is_empty() {
            return Err(CliError::usage(
                "studio-host",
                format!("`--host {host}` names no address: requests are answered only under the name that they are meant for"),
            )
            .help("name one address of this computer, for instance that of its network card, or say with `--name` how browsers call it")
            .help(TUNNEL));
        }
        let files = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
        let encrypted = arguments.tls || files.is_some() || !(host.is_loopback() || arguments.insecure);
        Ok(if encrypted {
            Self::Encrypted(host, arguments.port, files)
        } else {
            Self::Plain(host, arguments.port)
        })
    }
}

const TUNNEL: &str = "from another computer: `ssh -L 8712:127.0.0.1:8712 HOST`, then open the address that `overdrive studio` prints";

/// Serves the studio from a thread of its own for as long as this process lives, and says where.
pub(super) fn beside(globals: &Globals, output: &Output) -> Result<tokio::runtime::Runtime, CliError> {
    let home = place::state_folder(globals)?;
    let way = Way::Plain(IpAddr::V4(Ipv4Addr::LOCALHOST), None);
    let server = Server::open(&home, way, Vec::new(), false)?;
    output.note(&format!("studio: {}", server.link()?));
    let runtime = super::runtime()?;
    runtime.spawn(server.serve(std::future::pending()));
    Ok(runtime)
}

/// What listens, before there is a runtime.
enum Bound {
    Plain(TcpListener),
    Encrypted(TcpListener, Certificate),
    Socket(UnixListener, PathBuf),
}

struct Server {
    bound: Bound,
    names: Vec<String>,
    note: Note,
    access: Arc<Access>,
    studio: Studio,
    file: PathBuf,
}

/// What the state folder says about a running studio.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    /// What browsers open, without a path.
    address: String,
    /// What is listened on: an address with its port, or the path of a socket.
    listens: String,
    /// Which start of a studio this is.
    instance: String,
}

impl Note {
    /// An address that signs a browser in, good once and for a minute.
    fn link(&self, access: &Access) -> Result<String, CliError> {
        Ok(format!(
            "{}/login?code={}",
            self.address,
            access.code_for(&self.instance)?
        ))
    }
}

fn access(home: &Path) -> Result<Access, CliError> {
    Access::open(&home.join(TOKEN_FILE)).map_err(|error| CliError::failed("studio-token", error.to_string()))
}

/// Prices as the targets' files say them at that moment; a file that cannot be read has none.
fn prices_of(home: &Path) -> Prices {
    let home = home.to_owned();
    Arc::new(move || {
        let listed = super::pools::registry(&home).list().unwrap_or_default();
        listed
            .into_iter()
            .filter_map(|(name, found)| Some((name, found.ok()?.definition.cost_per_hour?)))
            .collect()
    })
}

impl Server {
    fn open(home: &Path, way: Way, names: Vec<String>, read_only: bool) -> Result<Self, CliError> {
        let project = home.parent().unwrap_or(Path::new(".")).to_path_buf();
        let settings = Settings {
            state_folder: home.to_owned(),
            project_folder: project,
            program: std::env::current_exe()?,
            read_only,
            files: Arc::new(Disk),
            prices: prices_of(home),
            kinds: kinds().into(),
        };
        // The store makes the state folder, with its permissions.
        crate::store::Store::open(home)?;
        let access = Arc::new(access(home)?);
        let studio = Studio::open(settings, access.clone())?;
        let called = |address: SocketAddr| match names.first() {
            Some(name) if name.contains(':') => name.clone(),
            Some(name) => format!("{name}:{}", address.port()),
            None => address.to_string(),
        };
        let (bound, address, listens) = match way {
            Way::Plain(host, port) => {
                let listener = listen(host, port)?;
                let address = listener.local_addr()?;
                let base = format!("http://{}", called(address));
                (Bound::Plain(listener), base, address.to_string())
            }
            Way::Encrypted(host, port, files) => {
                let certificate = match files {
                    Some((certificate, key)) => Certificate::read(&certificate, &key),
                    None => Certificate::own(&home.join(CERTIFICATES), host, &names),
                };
                let certificate =
                    certificate.map_err(|error| CliError::usage("studio-tls", error.to_string()))?;
                let listener = listen(host, port)?;
                let address = listener.local_addr()?;
                let base = format!("https://{}", called(address));
                (Bound::Encrypted(listener, certificate), base, address.to_string())
            }
            Way::Socket(path) => {
                let listener = listen_on(&path)?;
                let listens = path.display().to_string();
                (
                    Bound::Socket(listener, path),
                    format!("http://localhost:{PORT}"),
                    listens,
                )
            }
        };
        let file = home.join(ADDRESS_FILE);
        let note = Note {
            address,
            listens,
            instance: access.instance().to_owned(),
        };
        std::fs::write(&file, serde_json::to_string(&note).map_err(std::io::Error::from)?)?;
        Ok(Self {
            bound,
            names,
            note,
            access,
            studio,
            file,
        })
    }

    fn link(&self) -> Result<String, CliError> {
        self.note.link(&self.access)
    }

    fn announce(&self, output: &Output) -> Result<(), CliError> {
        let link = self.link()?;
        if output.json {
            let mut document = serde_json::json!({
                "schema_version": crate::report::SCHEMA_VERSION,
                "address": self.note.address,
                "link": link,
            });
            match &self.bound {
                Bound::Plain(_) => {}
                Bound::Encrypted(_, certificate) => {
                    document["certificate"] = certificate.file().display().to_string().into();
                    document["fingerprint"] = certificate.fingerprint().into();
                }
                Bound::Socket(_, path) => document["socket"] = path.display().to_string().into(),
            }
            return output.document(&document);
        }
        output.text(&link)?;
        match &self.bound {
            Bound::Plain(listener) => {
                if !listener.local_addr()?.ip().is_loopback() {
                    output.complain("warning: other computers reach this address, and what goes over the network, the key included, can be read on its way");
                }
            }
            Bound::Encrypted(_, certificate) => {
                output.note(&format!(
                    "certificate {}: its SHA-256 fingerprint, which a browser that does not know it should show, is\n{}",
                    certificate.file().display(),
                    certificate.fingerprint()
                ));
            }
            Bound::Socket(_, path) => output.note(&format!(
                "from another computer: `ssh -L {PORT}:{} HOST`, then open the address above",
                path.display()
            )),
        }
        output.note("open this address within a minute; `overdrive studio --link` prints another one, Ctrl-C ends the studio but no sweep");
        Ok(())
    }

    async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let (door, socket) = match self.bound {
            Bound::Plain(listener) => (Door::Plain(tokio::net::TcpListener::from_std(listener)?), None),
            Bound::Encrypted(listener, certificate) => (
                Door::Encrypted(tokio::net::TcpListener::from_std(listener)?, certificate),
                None,
            ),
            Bound::Socket(listener, path) => (
                Door::Socket(tokio::net::UnixListener::from_std(listener)?),
                Some(path),
            ),
        };
        let served = serve(self.studio, door, &self.names, end).await;
        // Another studio may have taken its place; only the own note and socket go.
        if noted(&self.file).is_some_and(|note| note == self.note) {
            let _ = std::fs::remove_file(&self.file);
            if let Some(path) = socket {
                let _ = std::fs::remove_file(path);
            }
        }
        served
    }
}

fn noted(file: &Path) -> Option<Note> {
    serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

/// Kinds of compute targets with their fields, read off the command line's own definition.
fn kinds() -> Vec<TargetKind> {
    let command = crate::cli::args::Cli::command();
    let Some(target) = command.find_subcommand("target") else {
        return Vec::new();
    };
    let mut kinds = Vec::new();
    for verb in ["create", "attach", "update"] {
        let Some(verb) = target.find_subcommand(verb) else {
            continue;
        };
        kinds.extend(
            verb.get_subcommands()
                .filter(|kind| !kind.is_hide_set())
                .map(|kind| {
                    let fields = kind.get_arguments().filter(|argument| !argument.is_hide_set());
                    let names: Vec<&str> = kind.get_arguments().filter_map(clap::Arg::get_long).collect();
                    TargetKind {
                        verb: verb.get_name().to_owned(),
                        kind: kind.get_name().to_owned(),
                        about: kind.get_about().map(ToString::to_string).unwrap_or_default(),
                        fields: fields
                            .filter(|argument| {
                                verb.get_name() == "attach" || argument.get_long() != Some("no-wait")
                            })
                            .filter_map(|argument| field(argument, &names))
                            .collect(),
                    }
                }),
        );
    }
    kinds
}

/// Names of options whose values nobody else may see.
const SECRETS: [&str; 4] = ["password", "passphrase", "token", "account-key"];
/// Option that names a file with the secret.
const SECRET_FILE: &str = "secret-file";

/// Heading of the fields that say where a secret is instead of what it is.
const ELSEWHERE: &str = "secrets that are kept elsewhere";

/// Whether an argument names the file or the variable of a secret that has a field of its own.
fn companion(name: &str, names: &[&str]) -> bool {
    name == SECRET_FILE && !names.contains(&"secret")
        || ["-file", "-env"].into_iter().any(|end| {
            name.strip_suffix(end)
                .is_some_and(|secret| names.contains(&secret) && names.contains(&&*format!("ask-{secret}")))
        })
}

/// The field of a form that an argument is, beside arguments of these names.
fn field(argument: &clap::Arg, names: &[&str]) -> Option<TargetField> {
    let name = argument.get_long()?;
    // The project is the studio's own, and nobody is there to be asked.
    if ["path", "help", "yes"].contains(&name) || name.starts_with("ask-") {
        return None;
    }
    let secret = SECRETS.iter().any(|word| name.ends_with(word)) || names.contains(&&*format!("ask-{name}"));
    let own = format!("{name}-file");
    let from_file = [own.as_str(), SECRET_FILE]
        .into_iter()
        .find(|file| names.contains(file));
    let switch = !argument.get_action().takes_values();
    let choices = argument.get_possible_values();
    let default = argument.get_default_values().first();
    let words = argument.get_value_names().and_then(<[_]>::first);
    Some(TargetField {
        name: name.to_owned(),
        about: argument.get_help().map(ToString::to_string).unwrap_or_default(),
        value: words.filter(|_| !switch).map(ToString::to_string),
        default: default
            .filter(|_| !switch)
            .map(|value| value.to_string_lossy().into_owned()),
        choices: if switch {
            Vec::new()
        } else {
            choices
                .iter()
                .filter(|choice| !choice.is_hide_set())
                .map(|choice| choice.get_name().to_owned())
                .collect()
        },
        group: argument
            .get_help_heading()
            .or_else(|| companion(name, names).then_some(ELSEWHERE))
            .map(str::to_owned),
        required: argument.is_required_set(),
        switch,
        many: matches!(argument.get_action(), clap::ArgAction::Append),
        file: from_file.filter(|_| secret).map(str::to_owned),
        secret,
        variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
    })
}

fn listen(host: IpAddr, port: Option<u16>) -> Result<TcpListener, CliError> {
    let taken = |port: u16, error: &std::io::Error| {
        CliError::failed("port", format!("port {port} of {host} cannot be had: {error}"))
            .help("`--port 0` takes any free one; `--link` prints a link to a studio that is running already")
    };
    let ports = match port {
        Some(port) => port..=port,
        None => PORT..=PORT + PORTS,
    };
    let mut last = None;
    for port in ports {
        match TcpListener::bind((host, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) => last = Some(taken(port, &error)),
        }
    }
    Err(last.unwrap_or_else(|| CliError::failed("port", "no port")))
}

/// A socket that only this user can connect to. One that nobody listens on any more is replaced, anything else that is there stays.
fn listen_on(path: &Path) -> Result<UnixListener, CliError> {
    let cannot = |why: String| CliError::failed("socket", format!("`{}` {why}", path.display()));
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(cannot("is there already, and no socket".into()));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(cannot("is served already".into())
                .help("`overdrive studio --link` prints a link to a studio that is running already"));
        }
        std::fs::remove_file(path)?;
    }
    // The mode must hold from the first moment. Nothing else runs in this process yet.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(|error| cannot(format!("cannot be made: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Makes a one-time code for the running studio of this state folder.
fn link(home: &Path, output: &Output) -> Result<u8, CliError> {
    let none = || {
        CliError::not_found(
            "no-studio",
            format!("no studio is running for `{}`", home.display()),
        )
        .help("`overdrive studio` starts one")
    };
    let note = noted(&home.join(ADDRESS_FILE)).ok_or_else(none)?;
    // One that was killed leaves its note.
    match note.listens.parse::<SocketAddr>() {
        Ok(address) => {
            drop(TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(|_| none())?)
        }
        Err(_) => drop(UnixStream::connect(&note.listens).map_err(|_| none())?),
    }
    let link = note.link(&access(home)?)?;
    if output.json {
        output
            .document(&serde_json::json!({"schema_version": crate::report::SCHEMA_VERSION, "link": link}))?;
    } else {
        output.text(&link)?;
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn way(arguments: &[&str]) -> Result<Way, CliError> {
        let line = ["overdrive", "studio"].iter().chain(arguments);
        let crate::cli::args::Command::Studio(arguments) =
            crate::cli::args::Cli::try_parse_from(line).unwrap().command
        else {
            panic!("another command");
        };
        Way::chosen(&arguments)
    }

    #[test]
    fn what_leaves_this_computer_is_encrypted() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let plain = |host| Way::Plain(ip(host), None);
        let own = |host| Way::Encrypted(ip(host), None, None);
        assert_eq!(way(&[]).unwrap(), plain("127.0.0.1"));
        assert_eq!(way(&["--host", "::1"]).unwrap(), plain("::1"));
        assert_eq!(way(&["--tls"]).unwrap(), own("127.0.0.1"));
        assert_eq!(way(&["--host", "192.0.2.7"]).unwrap(), own("192.0.2.7"));
        assert_eq!(
            way(&["--host", "192.0.2.7", "--insecure"]).unwrap(),
            plain("192.0.2.7")
        );
        assert!(way(&["--host", "0.0.0.0", "--insecure"]).is_err());
        assert_eq!(
            way(&["--host", "0.0.0.0", "--name", "tuner.example"]).unwrap(),
            own("0.0.0.0")
        );
        let files = Some((PathBuf::from("c"), PathBuf::from("k")));
        assert_eq!(
            way(&["--tls-cert", "c", "--tls-key", "k"]).unwrap(),
            Way::Encrypted(ip("127.0.0.1"), None, files)
        );
        assert_eq!(way(&["--socket", "/s"]).unwrap(), Way::Socket("/s".into()));
    }
}

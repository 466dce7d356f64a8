//! `studio`: serves the page, or gives a new link to one that is being served; also beside `run --studio`.

use crate::cli::args::{Globals, Studio as Arguments};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::studio::{Access, Settings, Studio, TargetField, TargetKind, serve};
use clap::CommandFactory as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Port unless `--port` says otherwise; if it is taken, one of the next.
const PORT: u16 = 8712;
const PORTS: u16 = 20;

/// Where the state folder says how a running studio is reached.
const ADDRESS_FILE: &str = "studio.address";
const TOKEN_FILE: &str = "studio.token";

/// Serves the studio until Ctrl-C, or prints a new link to a running one.
pub(super) fn studio(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let home = place::state_folder(globals)?;
    if arguments.link {
        return link(&home, output);
    }
    let host = arguments.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    reachable(host, arguments.insecure)?;
    let server = Server::open(&home, host, arguments.port, arguments.read_only)?;
    if !host.is_loopback() {
        output.complain("warning: other computers reach this address, and what goes over the network, the key included, can be read on its way");
    }
    server.announce(output)?;
    let runtime = super::runtime()?;
    runtime.block_on(server.serve(async {
        let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
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

/// Whether the address may be served: the studio speaks plain HTTP, which leaves this computer only if somebody says so.
fn reachable(host: IpAddr, insecure: bool) -> Result<(), CliError> {
    if host.is_unspecified() {
        return Err(CliError::usage(
            "studio-host",
            format!("`--host {host}` names no address: requests are answered only under the name that they are meant for"),
        )
        .help("name one address of this computer, for instance that of its network card")
        .help(TUNNEL));
    }
    if !host.is_loopback() && !insecure {
        return Err(CliError::usage(
            "studio-host",
            format!("`--host {host}` can be reached from the network, and the studio does not encrypt: nothing was served"),
        )
        .help(TUNNEL)
        .help("or put a server with a certificate before it; `--insecure` serves it as it is, where the network is trusted"));
    }
    Ok(())
}

const TUNNEL: &str = "from another computer: `ssh -L 8712:127.0.0.1:8712 HOST`, then open the address that `overdrive studio` prints";

/// Serves the studio from a thread of its own for as long as this process lives, and says where.
pub(super) fn beside(globals: &Globals, output: &Output) -> Result<tokio::runtime::Runtime, CliError> {
    let home = place::state_folder(globals)?;
    let server = Server::open(&home, IpAddr::V4(Ipv4Addr::LOCALHOST), None, false)?;
    output.note(&format!("studio: {}", server.link()?));
    let runtime = super::runtime()?;
    runtime.spawn(server.serve(std::future::pending()));
    Ok(runtime)
}

struct Server {
    listener: TcpListener,
    address: SocketAddr,
    access: Arc<Access>,
    studio: Studio,
    note: PathBuf,
}

impl Server {
    fn open(home: &Path, host: IpAddr, port: Option<u16>, read_only: bool) -> Result<Self, CliError> {
        let project = home.parent().unwrap_or(Path::new(".")).to_path_buf();
        let settings = Settings {
            state_folder: home.to_owned(),
            project_folder: project,
            program: std::env::current_exe()?,
            read_only,
            files: Arc::new(Disk),
            kinds: kinds().into(),
        };
        // The store makes the state folder, with its permissions.
        crate::store::Store::open(home)?;
        let access = Arc::new(
            Access::open(&home.join(TOKEN_FILE))
                .map_err(|error| CliError::failed("studio-token", error.to_string()))?,
        );
        let studio = Studio::open(settings, access.clone())?;
        let listener = listen(host, port)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let note = home.join(ADDRESS_FILE);
        std::fs::write(&note, address.to_string())?;
        Ok(Self {
            listener,
            address,
            access,
            studio,
            note,
        })
    }

    /// An address that signs a browser in, good once and for a minute.
    fn link(&self) -> Result<String, CliError> {
        Ok(format!(
            "http://{}/login?code={}",
            self.address,
            self.access.code()?
        ))
    }

    fn announce(&self, output: &Output) -> Result<(), CliError> {
        let link = self.link()?;
        if output.json {
            return output.document(&serde_json::json!({
                "schema_version": crate::report::SCHEMA_VERSION,
                "address": format!("http://{}", self.address),
                "link": link,
            }));
        }
        output.text(&link)?;
        output.note("open this address within a minute; `overdrive studio --link` prints another one, Ctrl-C ends the studio but no sweep");
        Ok(())
    }

    async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let served = serve(self.studio, listener, end).await;
        // Another studio may have taken its place; only the own note goes.
        if std::fs::read_to_string(&self.note).is_ok_and(|text| text == self.address.to_string()) {
            let _ = std::fs::remove_file(&self.note);
        }
        served
    }
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
        group: argument.get_help_heading().map(str::to_owned),
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
    if let Some(port) = port {
        return TcpListener::bind((host, port)).map_err(|error| taken(port, &error));
    }
    let mut last = None;
    for port in PORT..PORT + PORTS {
        match TcpListener::bind((host, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(taken(port, &error)),
        }
    }
    Err(last.unwrap_or_else(|| CliError::failed("port", "no port")))
}

/// Asks the running studio of this state folder for a one-time code.
fn link(home: &Path, output: &Output) -> Result<u8, CliError> {
    let none = || {
        CliError::not_found(
            "no-studio",
            format!("no studio is running for `{}`", home.display()),
        )
        .help("`overdrive studio` starts one")
    };
    let address = std::fs::read_to_string(home.join(ADDRESS_FILE)).map_err(|_| none())?;
    let address: SocketAddr = address.trim().parse().map_err(|_| none())?;
    let token = std::fs::read_to_string(home.join(TOKEN_FILE)).map_err(|_| none())?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(|_| none())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "POST /api/v1/link HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        token.trim()
    )?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let code = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|value| {
            value
                .get("code")
                .and_then(|code| code.as_str().map(str::to_owned))
        })
        .ok_or_else(none)?;
    let link = format!("http://{address}/login?code={code}");
    if output.json {
        output
            .document(&serde_json::json!({"schema_version": crate::report::SCHEMA_VERSION, "link": link}))?;
    } else {
        output.text(&link)?;
    }
    Ok(exit::OK)
}

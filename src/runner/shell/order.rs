//! What a shell runner gets to execute: `order.sh`, a few values and functions, every word of the user's in quotes.

use super::super::channels::of_shim;
use super::super::command::{Places, variables};
use super::super::spec::AttemptSpec;
use crate::config::launch::template::quote;
use std::path::Path;

/// Variables that are lists of folders, to which what the machine has is added behind.
const LISTS: [&str; 2] = ["PATH", "PYTHONPATH"];

/// Variables that the machine's own value goes before.
const DEFAULTS: [&str; 2] = ["PYTHONUNBUFFERED", "AZUREML_OUTPUT_DIRECTORY"];

/// The order for an attempt that lies in `folder` on its machine, where `shim` is the folder of the azureml module.
///
/// # Errors
/// One sentence, if the attempt asks for something that only the program itself can do, or that no process can receive.
pub fn order(spec: &AttemptSpec, folder: &Path, shim: Option<&Path>) -> Result<String, String> {
    let Some((program, arguments)) = spec.argv.split_first() else {
        return Err("the command is empty".into());
    };
    if let Some(bad) = spec.argv.iter().find(|argument| argument.contains('\0')) {
        let shown = bad.replace('\0', "\\0");
        return Err(format!(
            "the argument `{shown}` holds a NUL byte, which no process can receive"
        ));
    }
    if spec.group.is_some() {
        return Err(
            "several processes per trial need overdrive itself on the machine, and it does not run there"
                .into(),
        );
    }
    if spec.container.is_some() {
        return Err("a container needs overdrive itself on the machine, and it does not run there".into());
    }
    for name in &spec.outputs {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(format!("`{name}` cannot be the name of an output"));
        }
    }
    let workdir = spec.in_place.clone().unwrap_or_else(|| folder.join("wd"));
    let report = folder.join("report.jsonl");
    let places = Places {
        folder,
        workdir: &workdir,
        report: &report,
    };
    let of_channels = |_: &dyn Fn(&str) -> Option<String>| of_shim(spec, folder, &report);
    let variables = variables(spec, places, &of_channels, shim, &|_| None);
    let mut exports = String::new();
    // Names that no shell can set.
    let mut odd = Vec::new();
    for (name, value) in &variables {
        let value = value.to_string_lossy();
        let own = spec.env.contains_key(name);
        if !is_name(name) {
            odd.push(format!("{name}={value}"));
        } else if LISTS.contains(&name.as_str()) && !own {
            exports.push_str(&format!(
                "    export {name}={}\"${{{name}:+:${name}}}\"\n",
                quote(&value)
            ));
        } else if DEFAULTS.contains(&name.as_str()) && !own {
            exports.push_str(&format!(
                "    [ -n \"${{{name}+set}}\" ] || {name}={}\n    export {name}\n",
                quote(&value)
            ));
        } else {
            exports.push_str(&format!("    export {name}={}\n", quote(&value)));
        }
    }
    let path = |path: Option<&Path>| quote(&path.map(Path::to_string_lossy).unwrap_or_default());
    let outputs: Vec<String> = spec
        .outputs
        .iter()
        .map(|name| format!(" {}", quote(&format!("named_outputs/{name}"))))
        .collect();
    let outputs = if outputs.is_empty() {
        ":".to_owned()
    } else {
        format!("mkdir -p{}", outputs.concat())
    };
    let with = if odd.is_empty() {
        String::new()
    } else {
        let odd: Vec<String> = odd.iter().map(|pair| format!(" {}", quote(pair))).collect();
        format!(" \"$env\"{}", odd.concat())
    };
    let words: Vec<String> = std::iter::once(program)
        .chain(arguments)
        .map(|word| format!(" {}", quote(word)))
        .collect();
    let missing = quote(&format!("command `{program}` was not found"));
    let forbidden = quote(&format!("`{program}` may not be executed (permission denied)"));
    let quoted = quote(program);
    let check = if program.contains('/') {
        format!(
            "[ -e {quoted} ] || {{ printf '%s' {missing}; return 1; }}\n    \
             [ -x {quoted} ] && [ ! -d {quoted} ] || {{ printf '%s' {forbidden}; return 1; }}"
        )
    } else {
        format!("command -v {quoted} >/dev/null 2>&1 || {{ printf '%s' {missing}; return 1; }}")
    };
    Ok(format!(
        "od_nonce={} od_timeout_ms={} od_grace_ms={} od_cap={}\nod_snapshot={} od_in_place={}\n\
         od_outputs() {{\n    {outputs}\n}}\nod_environment() {{\n{exports}}}\nod_check() {{\n    {check}\n}}\n\
         od_command() {{\n    exec ${{setsid:+\"$setsid\"}}{with}{}\n}}\n",
        quote(&spec.nonce),
        spec.timeout_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        spec.grace_ms,
        spec.log_cap_bytes.max(8 << 10),
        path(spec.snapshot.as_deref()),
        path(spec.in_place.as_deref()),
        words.concat(),
    ))
}

/// Whether a shell can set a variable of that name.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

//! Which GPUs there are.

use std::process::{Command, Stdio};

/// UUIDs of the GPUs that `nvidia-smi` lists, or the entries of `CUDA_VISIBLE_DEVICES` where that is set (a scheduler's share of
/// the machine is not to be widened). Empty without GPUs.
pub fn visible_devices() -> Vec<String> {
    if let Some(given) = std::env::var_os("CUDA_VISIBLE_DEVICES") {
        return listed_devices(&given.to_string_lossy());
    }
    if !std::path::Path::new("/proc/driver/nvidia").exists() {
        return Vec::new();
    }
    let listed = Command::new("nvidia-smi")
        .args(["--query-gpu=uuid", "--format=csv,noheader"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .flat_map(listed_devices)
            .collect(),
        _ => Vec::new(),
    }
}

/// Devices in a list such as that of `CUDA_VISIBLE_DEVICES`.
pub(in crate::target) fn listed_devices(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty() && *entry != "-1")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_and_nothing_is_nothing() {
        assert_eq!(listed_devices("0, GPU-1a"), ["0", "GPU-1a"]);
        assert!(listed_devices("").is_empty());
        assert!(listed_devices("-1").is_empty());
    }
}

//! Brings what an attempt left to a folder here: `runner.sh pack` writes a head and the bytes of each file, folder and link.

use super::Reach;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

/// Longest head, and longest name or target of a link.
const HEAD_MAX: u64 = 64 << 10;

/// Fetches what lies in `folder` there into `into`; `all` = not only what an attempt leaves.
///
/// # Errors
/// The system's; `InvalidData` if what comes is not what was asked for.
pub(super) fn fetch(reach: &Reach, script: &str, folder: &str, all: bool, into: &Path) -> io::Result<()> {
    let mut words = vec!["sh", script, "pack", folder];
    if all {
        words.push("all");
    }
    let mut child = reach
        .command(&words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stream = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let done = unpack(&mut BufReader::with_capacity(256 << 10, stream), into);
    if done.is_err() {
        // Nobody reads on.
        let _ = child.kill();
    }
    child.wait()?;
    done
}

/// Makes what `stream` tells of below `into`. Nothing is written outside, or through a link: those are made last.
fn unpack(stream: &mut impl BufRead, into: &Path) -> io::Result<()> {
    let mut links: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let folder = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    folder(into)?;
    loop {
        let mut head = Vec::new();
        stream.take(HEAD_MAX).read_until(b'\n', &mut head)?;
        if head.last() != Some(&b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let head = String::from_utf8_lossy(&head);
        let words: Vec<&str> = head.split_whitespace().collect();
        let [kind, mode, size, name] = words[..] else {
            return Err(nonsense());
        };
        let number = |word: &str| word.parse::<u64>().map_err(|_| nonsense());
        if kind == "e" {
            for (path, to) in links {
                symlink(OsStr::from_bytes(&to), path)?;
            }
            return Ok(());
        }
        let (size, mode) = (number(size)?, u32::from_str_radix(mode, 8).unwrap_or(0o600));
        let mut name = take(stream, number(name)? + 1)?;
        name.pop();
        let path = Path::new(OsStr::from_bytes(&name));
        let legal = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(legal) {
            return Err(nonsense());
        }
        let path = into.join(path);
        match kind {
            "d" => folder(&path)?,
            "l" => links.push((path, take(stream, size)?)),
            "f" => {
                if let Some(above) = path.parent() {
                    folder(above)?;
                }
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode((mode & 0o777) | 0o600)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(&path)?;
                if io::copy(&mut stream.take(size), &mut file)? != size {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            _ => return Err(nonsense()),
        }
    }
}

fn take(stream: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    if length > HEAD_MAX {
        return Err(nonsense());
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}

fn nonsense() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "the shell there says something else than was asked",
    )
}

/// Removes what was fetched.
pub(super) fn remove(folder: &Path) {
    // What stays costs room only.
    let _ = fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_come_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut good: &[u8] = b"d 0 0 3\n./a\nf 755 3 7\n./a/b\nc\nxyzl 0 4 3\n./l\n/etce 0 0 0\n";
        unpack(&mut good, folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("a/b\nc")).unwrap(), b"xyz");
        assert_eq!(fs::read_link(folder.path().join("l")).unwrap(), Path::new("/etc"));
        for bad in [
            &b"f 600 1 6\n../out\nx"[..],
            b"f 600 1 4\n/out\nx",
            b"f 600 9 4\n./ab\nx",
            b"x",
            b"",
            b"Welcome\n",
        ] {
            let mut bad = bad;
            assert!(unpack(&mut bad, folder.path()).is_err());
        }
        assert!(!folder.path().join("../out").exists());
    }
}

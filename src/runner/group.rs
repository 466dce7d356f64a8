//! A control group around a script, where this system lets us make one: one write ends everything in it in one stroke.
//!
//! It is made once the script has lived for a tick: moving a process costs the kernel up to 25 ms now and then, more than the life of
//! a short trial. Only the script and the orphans that this runner adopted are moved, children that nobody else can reap, so that
//! no process id can change hands in between; what they start from then on is born inside. Whoever is outside is found by the walk
//! of `tree`, which always follows.

use super::process::children;
use rustix::fs::{Access, access};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the unified hierarchy is mounted: alone, or beside the old ones.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The group of one attempt; removed with this value, if nobody is left in it.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// Makes the group of the attempt called `nonce` and moves the children of this process into it. `None` where there is no
    /// unified hierarchy, no right to make one, or no `cgroup.kill` (before Linux 5.14).
    pub(super) fn around_children(nonce: &str) -> Option<Self> {
        let parent = parent()?;
        if !is_ours_to_divide(&parent) {
            return None;
        }
        let folder = named(&parent, nonce);
        fs::create_dir(&folder).ok()?;
        let group = Self { folder };
        let kill = group.folder.join("cgroup.kill");
        if access(&kill, Access::WRITE_OK).is_err() {
            return None;
        }
        let own = i32::try_from(std::process::id()).ok()?;
        let mut moved = 0;
        for child in children(own) {
            moved += usize::from(fs::write(group.folder.join("cgroup.procs"), child.to_string()).is_ok());
        }
        (moved > 0).then_some(group)
    }

    /// The group that a runner which is proved dead left behind, if it did.
    pub(super) fn left_by(nonce: &str) -> Option<Self> {
        let folder = named(&parent()?, nonce);
        folder.is_dir().then_some(Self { folder })
    }

    /// KILL to everybody in it.
    pub(super) fn kill(&self) {
        // Whoever cannot be reached this way is by the walk.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The dead leave a moment after they died.
        for _ in 0..20 {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => return,
            }
        }
    }
}

fn named(parent: &Path, nonce: &str) -> PathBuf {
    parent.join(format!("overdrive-{nonce}"))
}

/// This process's own group in the unified hierarchy.
fn parent() -> Option<PathBuf> {
    let root = ROOTS
        .iter()
        .map(Path::new)
        .find(|root| root.join("cgroup.controllers").exists())?;
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A path above what is mounted here: the group lies in another namespace.
    (!path.starts_with("..")).then(|| root.join(path))
}

/// Whether groups below `parent` are nobody else's business: a user may write there only if it was delegated to him; root may write
/// everywhere, but where systemd rules, it has to have said so.
fn is_ours_to_divide(parent: &Path) -> bool {
    let writable = access(parent, Access::WRITE_OK).is_ok()
        && access(parent.join("cgroup.procs"), Access::WRITE_OK).is_ok();
    let delegated = || {
        ["trusted.delegate", "user.delegate"].iter().any(|name| {
            let mut value = [0_u8; 8];
            rustix::fs::getxattr(parent, *name, &mut value)
                .is_ok_and(|length| value.get(..length) == Some(b"1"))
        })
    };
    let ruled = rustix::process::geteuid().is_root() && Path::new("/run/systemd/system").is_dir();
    writable && (!ruled || delegated())
}

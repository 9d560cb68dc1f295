//! Child processes that never outlive us, and what the kernel says they cost.
//!
//! Each child leads a process group of its own: killing the group takes nginx's workers with their master. Groups are
//! killed when their guard is dropped (a panic unwinds through it), or all together on SIGINT and SIGTERM.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

static GROUPS: Mutex<Vec<i32>> = Mutex::new(Vec::new());
static WORKSPACE: OnceLock<PathBuf> = OnceLock::new();

/// On Ctrl-C nothing is unwound: this thread does what the guards would have done.
pub(crate) fn clean_up_on_signals(workspace: &Path) -> Result<()> {
    WORKSPACE.set(workspace.to_owned()).ok();
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        let signal = signals.forever().next().unwrap_or(SIGINT);
        // Held to the end, so that no further child is born.
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.iter() {
            killpg(Pid::from_raw(*group), Signal::SIGKILL).ok();
        }
        WORKSPACE.get().map(fs::remove_dir_all);
        std::process::exit(128 + signal);
    });
    Ok(())
}

pub(crate) struct Guarded {
    child: Child,
    output: PathBuf,
}

impl Guarded {
    /// What the child prints goes to `output`: quiet while all is well, at hand when not.
    pub(crate) fn spawn(command: &mut Command, output: &Path) -> Result<Self> {
        let file = File::create(output)?;
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        groups.push(child.id().cast_signed());
        Ok(Self { child, output: output.to_owned() })
    }

    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("still running after {at_most:?}; it printed:\n{}", self.printed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.child.id().cast_signed()), signal).ok();
    }

    /// User and system time of the process and all its descendants, all their threads.
    pub(crate) fn cpu(&self) -> Duration {
        self.tree().into_iter().map(|pid| cpu(&format!("/proc/{pid}"))).sum()
    }

    /// CPU once nothing is left to do: work that follows behind the last answer counts too.
    pub(crate) fn cpu_settled(&self) -> Duration {
        let mut before = self.cpu();
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.cpu();
            if now.saturating_sub(before) <= Duration::from_millis(10) {
                return now;
            }
            before = now;
        }
        before
    }

    /// Sum of a field of `/proc/PID/status` (`VmHWM`, `VmRSS`) over the tree, in MiB. What processes share is counted
    /// in each of them.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let one = |pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0.0)
        };
        self.tree().into_iter().map(one).sum::<f64>() / 1024.0
    }

    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let everyone: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
                Some((pid, stat_field(&format!("/proc/{pid}"), PARENT)? as u32))
            })
            .collect();
        let mut at = 0;
        while at < tree.len() {
            let parent = tree[at];
            tree.extend(everyone.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
            at += 1;
        }
        tree
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let group = self.child.id().cast_signed();
        self.signal(Signal::SIGKILL);
        self.child.wait().ok();
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
    }
}

/// Fields of `/proc/PID/stat`, counted from the one after the name in parentheses (which may hold spaces).
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

fn stat_field(task: &str, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("{task}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(field)?.parse().ok()
}

/// Of a process (`/proc/PID`), or of one thread (`/proc/PID/task/TID`).
pub(crate) fn cpu(task: &str) -> Duration {
    let ticks = stat_field(task, USER_TICKS).unwrap_or(0) + stat_field(task, SYSTEM_TICKS).unwrap_or(0);
    Duration::from_secs(ticks) / ticks_per_second()
}

fn ticks_per_second() -> u32 {
    static TICKS: OnceLock<u32> = OnceLock::new();
    *TICKS.get_or_init(|| first_line(Command::new("getconf").arg("CLK_TCK")).parse().unwrap_or(100))
}

/// What a short command says in its first line, wherever it says it (nginx tells its version on stderr).
pub(crate) fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.stdin(Stdio::null()).output() else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}

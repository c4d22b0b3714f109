//! What this machine has: memory, and a name for what it computes on. Refuses to know what anybody needs.

use std::path::Path;
use std::thread;

use crate::fs;
use crate::stage::Runtime;

/// A machine that stages may run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Threads that a stage has where its runtime does not say.
    pub cores: usize,
    /// Bytes of memory that a process of ours may use at all.
    pub memory: Option<u64>,
    /// Name of its processor.
    pub processor: String,
    /// Its own name.
    pub host: String,
}

impl Machine {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory: memory(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max")),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor").to_owned(),
            host: fs::host(),
        }
    }

    /// What a stage runs on: equal where times can be compared. A build without optimisations is another device.
    pub fn device(&self, runtime: &Runtime, gpu: bool) -> String {
        let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
        if gpu {
            return format!("{} of {}{build}", runtime.device, self.host);
        }
        format!("{} threads of {}{build}", self.threads(runtime), self.processor)
    }

    /// Threads that a stage has.
    pub fn threads(&self, runtime: &Runtime) -> usize {
        if runtime.threads == 0 { self.cores.max(1) } else { runtime.threads }
    }
}

/// Bytes at the peak of this process so far.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    kib(field(&status, "VmHWM")?)
}

/// What `/proc/meminfo` has in all, or less where a group of processes may not have that much.
fn memory(meminfo: &str, group: &str) -> Option<u64> {
    let all = kib(field(meminfo, "MemTotal")?)?;
    let allowed = group.trim().parse::<u64>().ok();
    Some(allowed.map_or(all, |allowed| all.min(allowed)))
}

/// The value after `name:` in the first line that has it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

/// `1024 kB` → bytes.
fn kib(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_a_process_may_have() {
        let meminfo = "MemTotal:       24689668 kB\nMemFree:        100 kB\n";
        assert_eq!(memory(meminfo, "max\n"), Some(24_689_668 * 1024));
        assert_eq!(memory(meminfo, "1073741824\n"), Some(1 << 30));
        assert_eq!(memory("", "max"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 9B14\n";
        assert_eq!(field(cpuinfo, "model name"), Some("AMD EPYC 9B14"));
        assert_eq!(field("VmHWMx: 1 kB", "VmHWM"), None);
        assert_eq!(kib("12 kB"), Some(12_288));
    }

    #[test]
    fn devices_differ_by_threads_and_by_name() {
        let machine = Machine { cores: 4, processor: "P".into(), host: "h".into(), memory: None };
        let runtime = |threads| Runtime { threads, ..Runtime::default() };
        assert!(machine.device(&runtime(0), false).starts_with("4 threads of P"));
        assert_ne!(machine.device(&runtime(2), false), machine.device(&runtime(0), false));
        assert!(machine.device(&runtime(2), true).starts_with("auto of h"));
    }

    #[test]
    fn this_process_has_a_peak_and_this_machine_memory() {
        assert!(peak_memory().unwrap() > 1 << 20);
        assert!(Machine::here().memory.unwrap() > peak_memory().unwrap());
    }
}

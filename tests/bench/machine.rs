//! What a figure was measured on: processor, cores, memory, GPU, commit, day, versions; and what a process used of it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use curricle_engine::stage::Runtime;

use crate::process::Peers;

/// What a program prints, without the blanks around it; empty where it can't be had.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Largest resident size of this process so far.
pub fn peak_mib() -> Option<u64> {
    let peak = field("/proc/self/status", "VmHWM")?;
    peak.split(' ').next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// Memory in use on the first GPU.
pub fn device_mib() -> Option<u64> {
    said("nvidia-smi", &["--query-gpu=memory.used", "--format=csv,noheader,nounits"])
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
}

/// Says why there is no GPU to measure on.
pub fn gpu() -> Result<(), String> {
    curricle_stages::device::available(&Runtime { device: "cuda".into(), ..Runtime::default() })
}

fn avx512() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    return if std::arch::is_x86_feature_detected!("avx512f") { "AVX-512" } else { "no AVX-512" };
    #[cfg(not(target_arch = "x86_64"))]
    return std::env::consts::ARCH;
}

/// Share of the cores that others keep busy, over a second; whoever waits for threads in a loop suffers most from it.
fn busy() -> f64 {
    let read = || -> Option<[f64; 2]> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<f64> = text.lines().next()?.split(' ').filter_map(|word| word.parse().ok()).collect();
        Some([ticks.iter().sum(), ticks.get(3)? + ticks.get(4)?])
    };
    let before = read();
    std::thread::sleep(Duration::from_secs(1));
    let (Some([all, idle]), Some([all_now, idle_now])) = (before, read()) else { return 0.0 };
    1.0 - (idle_now - idle) / (all_now - all).max(1.0)
}

/// The lines above the tables.
pub fn heading(peers: &Peers, quick: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = field("/proc/meminfo", "MemTotal");
    let memory = memory.and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok()).unwrap_or_default() >> 20;
    let mut machine = format!("{cores} cores of {model}, {}, {memory} GiB", avx512());
    if gpu().is_ok() {
        machine += &format!("; {}", said("nvidia-smi", &["--query-gpu=name,memory.total", "--format=csv,noheader"]));
    }
    let commit = said("git", &["describe", "--always", "--dirty", "--abbrev=10"]);
    let busy = busy();
    let mut text = format!(
        "| machine | {machine} |\n| --- | --- |\n| commit, day | {commit}, {} |\n| compiler | {} |\n| peers | {peers} |\n",
        said("date", &["-u", "+%F"]),
        said("rustc", &["--version"]),
    );
    if busy > 0.05 {
        text += &format!("\n**Other work kept {:.0} % of the cores busy: these figures mean little.**\n", 100.0 * busy);
    }
    if cfg!(debug_assertions) {
        text += "\n**A development build: these figures mean nothing.**\n";
    }
    if quick {
        text += "\n**Each case was measured once, without warming up: these figures mean nothing.**\n";
    }
    text
}

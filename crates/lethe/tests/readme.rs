//! The quick start of README.md, run as it stands: by bash, in an empty directory, with the real binary.

#![allow(clippy::unwrap_used, clippy::panic)] // OK because this file is nothing but tests.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

/// Stands in README above each block that is run.
const MARK: &str = "<!-- crates/lethe/tests/readme.rs runs";
/// Where README serves; replaced by a free port, so that tests do not meet.
const ADDRESS: &str = "127.0.0.1:8080";
/// Nothing in it takes nearly as long, not even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// The marked blocks, one after the other.
fn marked_blocks(readme: &str) -> String {
    let blocks = readme.split(MARK).skip(1).map(|rest| {
        let (_, block) = rest.split_once("```sh\n").unwrap_or_else(|| panic!("no block of shell follows the mark"));
        block.split_once("```").map_or(block, |(block, _)| block)
    });
    blocks.collect::<Vec<_>>().join("\n")
}

struct Ended {
    /// `None` if it had to be killed.
    status: Option<ExitStatus>,
    stdout: String,
    stderr: String,
    server_log: String,
}

/// Runs a script to its end or to the deadline. Its whole process group is killed afterwards, so that no server outlives the test.
fn run(script: &str, directory: &Path) -> Ended {
    fs::write(directory.join("script.sh"), script).unwrap();
    let file = |name: &str| File::create(directory.join(name)).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_lethe")).parent().unwrap().to_owned();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()))).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "script.sh"]).current_dir(directory).env("PATH", path).env("no_proxy", "127.0.0.1").process_group(0);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LETHE_")) {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
    let group = format!("-{}", child.id());
    let (ended, end) = mpsc::channel();
    let waiting = std::thread::spawn(move || ended.send(child.wait().unwrap()));
    let status = end.recv_timeout(DEADLINE).ok();
    // Fails when nothing of the group is left, which is how it should be.
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    waiting.join().unwrap().unwrap();
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    Ended { status, stdout: text("stdout"), stderr: text("stderr"), server_log: text("lethe.log") }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn has_program(name: &str) -> bool {
    Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn the_quick_start_of_readme_works_when_pasted_in_order() {
    if let Some(missing) = ["bash", "curl"].into_iter().find(|name| !has_program(name)) {
        eprintln!("NOT RUN: README's quick start needs {missing}, which is not installed");
        return;
    }
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let blocks = marked_blocks(&fs::read_to_string(readme).unwrap());
    assert!(blocks.contains("lethe serve") && blocks.contains(ADDRESS) && blocks.contains("%24purge"), "the control: {blocks}");
    for attempt in 1..=3 {
        let directory = tempfile::tempdir().unwrap();
        let ended = run(&blocks.replace(ADDRESS, &free_address()), directory.path());
        if ended.server_log.contains("cannot listen") && attempt < 3 {
            continue; // Another test took the port that was free a moment ago.
        }
        let told = format!("{:?}\n{}\n{}\n{}", ended.status, ended.stdout, ended.stderr, ended.server_log);
        assert!(ended.status.is_some_and(|status| status.success()), "{told}");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        let patient = lines.iter().position(|line| line.contains(r#""resourceType":"Patient""#) && line.contains("Lee"));
        let job = lines.iter().position(|line| line.contains(r#""status":"successful""#) && line.contains(r#""deletedCount":1"#));
        assert!(patient.is_some() && patient < job, "the resource is read before it is purged, and the job says successful: {told}");
        assert_eq!(lines[lines.len() - 2..], ["404", "404"], "read and history: {told}");
        return;
    }
}

#[test]
fn marked_blocks_are_found_and_others_left_out() {
    let readme = format!("```sh\nno\n```\n{MARK} this -->\n```sh\nfirst\n```\ntext\n{MARK} this -->\n```sh\nsecond\n```\n```sh\nno\n```\n");
    assert_eq!(marked_blocks(&readme), "first\n\nsecond\n");
}

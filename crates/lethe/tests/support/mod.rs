//! Running the real binary: in a directory of its own, without the environment of whoever runs the tests.

// Each test binary uses a part of this, and clippy knows helpers of tests only where they stand beside a test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod cluster;
pub mod database;
pub mod recorder;
pub mod scene;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing that is waited for takes nearly as long, not even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A directory in which commands run.
pub struct Workplace(TempDir);

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workplace {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// `lethe` with these arguments, to be run here.
    pub fn lethe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lethe"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LETHE_")) {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        self.lethe(arguments).output().unwrap().into()
    }

    /// Runs a command that must succeed and prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    /// A client and a user of it in `./lethe-data`: client_id, client_secret, oneup_user_id.
    pub fn add_user(&self) -> (String, String, String) {
        let client = self.json(&["client", "add", "Test", "--json"]);
        let client_id = client["client_id"].as_str().unwrap().to_owned();
        let user = self.json(&["user", "add", "--client", &client_id, "alice", "--json"]);
        (client_id, client["client_secret"].as_str().unwrap().to_owned(), user["oneup_user_id"].to_string())
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A process that runs until it is told to stop; killed if the test ends before.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts it and follows what it says on either stream.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let streams: [Box<dyn std::io::Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// The next line that contains `text`.
    pub fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("no line with '{text}': {error}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Everything that is said from now to its end.
    pub fn rest(&self) -> String {
        let mut rest = String::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    /// From now on its writes behind this many bytes of any file fail with an I/O error; `None` lifts that. It must ignore SIGXFSZ.
    pub fn limit_file_bytes(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let process = self.child.id().to_string();
        assert!(Command::new("prlimit").args(["--pid", &process, &format!("--fsize={limit}:unlimited")]).status().unwrap().success());
    }

    /// Its exit status, once all it said has been read.
    pub fn wait(&mut self) -> Option<i32> {
        self.rest();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server over `./lethe-data` on a free port; returns it with its address.
pub fn serve(workplace: &Workplace) -> (Running, String) {
    serve_by(workplace.lethe(&["serve", "--listen", "127.0.0.1:0"]))
}

/// The same, started by this command.
pub fn serve_by(command: Command) -> (Running, String) {
    let running = Running::start(command);
    let line = running.line_with("listens on ");
    let address = line.split("listens on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    (running, address)
}

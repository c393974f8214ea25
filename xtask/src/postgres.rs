//! The PostgreSQL that tests run on: the one that `LETHE_TEST_DATABASE_URL` names, else a cluster of our own for the time of the run.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Where tests find the address of the server. They make a database each, and drop it.
pub const URL_VARIABLE: &str = "LETHE_TEST_DATABASE_URL";

/// Where tests find the files of the server, to search them for bytes. Absent if the server is not ours.
pub const DIRECTORY_VARIABLE: &str = "LETHE_TEST_DATABASE_DIR";

/// The one command that installs what is missing.
const INSTALL: &str = "apt-get install -y postgresql";

/// What a cluster for tests does not need: what is lost in a power cut is lost with it. The log is short, since a test reads all of it.
const SETTINGS: &[&str] =
    &["fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=128MB", "max_wal_size=128MB", "unix_socket_directories="];

/// A server to test on; one of our own stops when this is dropped.
pub struct TestServer {
    url: String,
    own: Option<Cluster>,
}

impl TestServer {
    /// Finds one, or starts one.
    ///
    /// # Errors
    /// PostgreSQL is not installed and cannot be, or does not start.
    pub fn start() -> Result<Self> {
        if let Some(named) = Self::named_by(URL_VARIABLE) {
            return Ok(named);
        }
        let cluster = Cluster::start(&binaries()?)?;
        Ok(Self { url: format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port), own: Some(cluster) })
    }

    /// That of which a variable has the address.
    pub fn named_by(variable: &str) -> Option<Self> {
        let url = env::var(variable).ok().filter(|url| !url.is_empty());
        url.map(|url| Self { url, own: None })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its files, if it is our own.
    pub fn directory(&self) -> Option<PathBuf> {
        self.own.as_ref().map(Cluster::data)
    }

    /// Its address, or a word for one that may hold a password.
    pub fn shown(&self) -> &str {
        if self.own.is_some() { &self.url } else { "…" }
    }
}

/// A cluster in a temporary folder, on a port that was free.
struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    /// `None` until the folder is there.
    warden: Option<Child>,
}

/// Waits for the end of its input, which comes with the end of the process that has the other side, however that ends. Then it runs what stops the server, its
/// arguments, if there is one, and removes the folder.
const WARDEN: &str = r#"
trap '' INT TERM HUP
read -r _
folder=$1
shift
if [ -f "$folder/data/postmaster.pid" ]; then "$@" || exit 1; fi
rm -rf "$folder"
"#;

impl Cluster {
    fn start(binaries: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = env::temp_dir().join(format!("lethe-test-postgres-{}-{port}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut cluster = Self { binaries: binaries.to_owned(), folder, port, warden: None };
        cluster.warden = Some(cluster.start_warden()?);
        if is_root()? {
            run(Command::new("chown").arg("postgres").arg(&cluster.folder))?;
        }
        let data = cluster.data();
        let mut initdb = cluster.command("initdb")?;
        run(initdb.args(["--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8", "--no-sync", "--pgdata"]).arg(&data))?;
        let options = SETTINGS.iter().map(|setting| format!("-c {setting}")).collect::<Vec<_>>().join(" ");
        let mut start = cluster.command("pg_ctl")?;
        start.arg("start").arg("--wait").arg("--timeout=120").arg("--pgdata").arg(&data).arg("--log").arg(cluster.folder.join("log"));
        start.arg("--options").arg(format!("-h 127.0.0.1 -p {port} {options}"));
        if let Err(error) = run(&mut start) {
            let log = fs::read_to_string(cluster.folder.join("log")).unwrap_or_default();
            bail!("{error:#}\n{log}");
        }
        Ok(cluster)
    }

    /// In a group of its own: Ctrl-C is for the group of whoever runs the tests.
    fn start_warden(&self) -> Result<Child> {
        let mut stop = self.command("pg_ctl")?;
        stop.arg("stop").arg("--mode=immediate").arg("--wait").arg("--pgdata").arg(self.data());
        let mut warden = Command::new("sh");
        warden.args(["-c", WARDEN, "sh"]).arg(&self.folder).arg(stop.get_program()).args(stop.get_args());
        warden.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        warden.spawn().context("sh cannot be run")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of PostgreSQL's programs. They refuse to run as root.
    fn command(&self, program: &str) -> Result<Command> {
        let program = self.binaries.join(program);
        let mut command = if is_root()? {
            let mut as_postgres = Command::new("setpriv");
            as_postgres.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            as_postgres
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder);
        Ok(command)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Waiting closes its input.
        let stopped = self.warden.as_mut().map(Child::wait);
        if !matches!(stopped, Some(Ok(status)) if status.success()) {
            eprintln!("the PostgreSQL for tests in {} could not be stopped: {stopped:?}", self.folder.display());
        }
    }
}

/// Runs a command quietly; what it said comes with its failure.
fn run(command: &mut Command) -> Result<()> {
    // A file instead of a pipe: the server that it starts would keep a pipe open.
    let said = env::temp_dir().join(format!("lethe-test-postgres-{}.out", std::process::id()));
    let file = fs::File::create(&said)?;
    let status = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status();
    let text = fs::read_to_string(&said).unwrap_or_default();
    drop(fs::remove_file(&said));
    let status = status.with_context(|| format!("{command:?} cannot be run"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})\n{text}");
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    let asked = Command::new("id").arg("-u").output().context("id cannot be run")?;
    Ok(asked.stdout.trim_ascii() == b"0")
}

/// The folder of PostgreSQL's programs, installed first if that is possible.
fn binaries() -> Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    let help = format!("PostgreSQL is missing, on which a part of the tests runs: {INSTALL}; or name a server in {URL_VARIABLE}");
    if !is_root()? {
        bail!("{help}");
    }
    eprintln!("PostgreSQL is missing: installing it");
    let apt = |arguments: &[&str]| run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments));
    apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", "--no-install-recommends", "postgresql"])).context(help.clone())?;
    installed().context(help)
}

/// Debian's folder of the newest version, else that of the programs on the path.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").exists())
        .max();
    let on_path = || env::split_paths(&env::var_os("PATH")?).find(|folder| folder.join("initdb").exists());
    newest.map(|(_, folder)| folder).or_else(on_path)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpStream,
        time::{Duration, Instant},
    };

    use super::*;

    /// Tells the test below where its cluster is.
    const TOLD: &str = "cluster: ";

    #[test]
    #[ignore = "is run and interrupted by the test below"]
    fn waits_with_a_cluster_to_be_interrupted() {
        let cluster = Cluster::start(&binaries().unwrap()).unwrap();
        println!("\n{TOLD}{} {}", cluster.port, cluster.folder.display());
        drop(std::io::stdin().lines().next());
    }

    #[test]
    fn a_cluster_stops_when_whoever_started_it_is_interrupted() {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "postgres::tests::waits_with_a_cluster_to_be_interrupted", "--ignored", "--nocapture"]);
        let mut tests = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tests.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.find_map(|line| line.strip_prefix(TOLD).map(str::to_owned)).unwrap();
        let (port, folder) = told.split_once(' ').unwrap();
        let address = ("127.0.0.1", port.parse().unwrap());
        assert!(Path::new(folder).exists() && TcpStream::connect(address).is_ok(), "the control");
        let group = format!("-{}", tests.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
        assert!(!tests.wait().unwrap().success(), "it has no time to do anything");
        let began = Instant::now();
        while Path::new(folder).exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "{folder} is there still");
        }
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_cluster_answers_until_it_is_dropped_and_leaves_nothing() {
        let cluster = Cluster::start(&binaries().unwrap()).unwrap();
        let (folder, address) = (cluster.folder.clone(), ("127.0.0.1", cluster.port));
        assert!(folder.join("data").exists() && TcpStream::connect(address).is_ok());
        drop(cluster);
        assert!(!folder.exists() && TcpStream::connect(address).is_err());
    }
}

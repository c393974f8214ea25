//! A PostgreSQL of one test's own, to be stopped, killed and started again.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;
use tokio_postgres::Client;

use super::{
    DEADLINE,
    database::{connect, connect_to_server},
};

/// Stopped with this.
pub struct Cluster {
    binaries: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// With the programs of the server that `cargo xtask test` started. `None`, and a word about it, if they are not on this machine.
    pub async fn start() -> Option<Self> {
        let asked = "select setting from pg_config where name = 'BINDIR'";
        let binaries = PathBuf::from(connect_to_server().await.query_one(asked, &[]).await.unwrap().get::<_, String>(0));
        if !binaries.join("initdb").exists() {
            eprintln!("skipped: the programs of PostgreSQL are not on this machine, and its server cannot be stopped from here");
            return None;
        }
        let cluster = Self::to_be_made(binaries);
        cluster.run("initdb", &["--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8", "--no-sync"]);
        cluster.start_again();
        Some(cluster)
    }

    /// A standby of this one, without which no commit is acknowledged from now on.
    pub async fn standby(&self) -> Self {
        let standby = Self::to_be_made(self.binaries.clone());
        let primary = self.url("postgres");
        standby.run("pg_basebackup", &["--dbname", &primary, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        standby.start_again();
        let client = self.client().await;
        client.batch_execute("alter system set synchronous_standby_names = '*'").await.unwrap();
        client.batch_execute("select pg_reload_conf()").await.unwrap();
        let follows = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        let began = Instant::now();
        while client.query_one(follows, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(began.elapsed() < DEADLINE, "the standby does not follow");
        }
        standby
    }

    /// From now on it encrypts where it is asked to, and its log says of each connection whether it was.
    pub async fn encrypt(&self, certificate: &str, key: &str) {
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.folder.path().join("data").join(name);
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            self.give_away(&file);
        }
        let client = self.client().await;
        for setting in ["ssl = on", "log_connections = on"] {
            client.batch_execute(&format!("alter system set {setting}")).await.unwrap();
        }
        client.batch_execute("select pg_reload_conf()").await.unwrap();
        let began = Instant::now();
        while self.client().await.query_one("show ssl", &[]).await.unwrap().get::<_, &str>(0) != "on" {
            assert!(began.elapsed() < DEADLINE, "{}", self.log());
        }
    }

    /// What the server says.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn to_be_made(binaries: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { binaries, folder: tempfile::tempdir().unwrap(), port };
        cluster.give_away(cluster.folder.path());
        cluster
    }

    /// To the user as whom the server runs.
    fn give_away(&self, path: &Path) {
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
        }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// As the manual has it for a failover: whichever of the two is the primary.
    pub fn url_with(&self, standby: &Self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write", self.port, standby.port)
    }

    /// A connection to the database that nobody uses.
    pub async fn client(&self) -> Client {
        connect(&self.url("postgres")).await
    }

    pub fn start_again(&self) {
        // Where commits are concerned, as in production: a server that is killed loses what it had not written.
        let options = format!("-h 127.0.0.1 -p {} -c unix_socket_directories= -c fsync=off -c shared_buffers=32MB", self.port);
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "--wait", "--log", &log, "--options", &options]);
    }

    /// As it dies with its machine: nothing is finished.
    pub fn kill(&self) {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--wait"]);
    }

    /// As an administrator stops it.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "--mode=fast", "--wait"]);
    }

    /// The standby becomes the primary.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait"]);
    }

    /// They refuse to run as root; and a server that they start would keep a pipe open.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut as_postgres = Command::new("setpriv");
            as_postgres.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            as_postgres
        } else {
            Command::new(program)
        };
        command.args(arguments).arg("--pgdata").arg(self.folder.path().join("data")).current_dir(self.folder.path());
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(done.success(), "{command:?}: {}", self.log());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Without this file it is down already.
        let Ok(pid) = fs::read_to_string(self.folder.path().join("data/postmaster.pid")) else { return };
        if std::thread::panicking() {
            let _ = Command::new("kill").args(["-QUIT", pid.lines().next().unwrap_or_default()]).status();
        } else {
            self.kill();
        }
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0"
}

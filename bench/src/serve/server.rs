//! The server that is measured: the `lethe` command of this build, in a process of its own.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    measure::{cpu_seconds_of, peak_mib_of, written_bytes_of},
    place::Place,
};

/// How long a start may take.
const START_WAIT: Duration = Duration::from_secs(60);
/// File beside the database that takes what the server says; its log is on, as it is by default.
const LOG_FILE: &str = "server.log";

/// The account that is measured, and its client.
pub struct Tenant {
    pub account_id: i64,
    client_id: String,
}

impl Tenant {
    /// Makes a client and a user, and the store and its key if there are none.
    pub fn create(place: &Place) -> anyhow::Result<Self> {
        let client = lethe(place, &["client", "add", "bench", "--json"])?;
        let client_id = client["client_id"].as_str().context("a new client has an id")?.to_owned();
        let user = lethe(place, &["user", "add", "--client", &client_id, "measured", "--json"])?;
        Ok(Self { account_id: user["oneup_user_id"].as_i64().context("a new user has a number")?, client_id })
    }

    /// A token for its user.
    pub fn token(&self, place: &Place) -> anyhow::Result<String> {
        let token = lethe(place, &["user", "token", &self.account_id.to_string(), "--json"])?;
        Ok(token["access_token"].as_str().with_context(|| format!("a token for {}", self.client_id))?.to_owned())
    }
}

/// Runs the command to its end and reads what it prints.
fn lethe(place: &Place, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = command(place, arguments)?.output()?;
    ensure!(output.status.success(), "lethe {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn command(place: &Place, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("lethe").args(arguments);
    match &place.database_url {
        Some(url) => command.args([OsStr::new("--database-url"), url.as_ref(), OsStr::new("--keys-dir")]),
        None => command.arg("--data"),
    };
    command.arg(&place.dir);
    Ok(command)
}

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
    token: String,
}

impl Server {
    /// Starts it over a store and waits until it listens.
    pub fn start(place: &Place, tenant: &Tenant) -> anyhow::Result<Self> {
        Self::start_with(place, tenant, &[])
    }

    /// With more options.
    pub fn start_with(place: &Place, tenant: &Tenant, options: &[&str]) -> anyhow::Result<Self> {
        let token = tenant.token(place)?;
        let log = place.dir.join(LOG_FILE);
        let mut command = command(place, &[&["serve", "--listen", "127.0.0.1:0"], options].concat())?;
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let mut server = Self { process, address: SocketAddr::from(([127, 0, 0, 1], 0)), token };
        let start = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log)?;
            if let Some(address) = listens_on(&said) {
                server.address = address;
                return Ok(server);
            }
            ensure!(server.process.try_wait()?.is_none(), "the server has ended: {said}");
            ensure!(start.elapsed() < START_WAIT, "the server does not say where it listens: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Puts a request in the place of whatever `request` held.
    pub fn write_get(&self, path: &str, request: &mut Vec<u8>) -> std::io::Result<()> {
        request.clear();
        let Self { address, token, .. } = self;
        write!(request, "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/fhir+json\r\n\r\n")
    }

    /// A whole request.
    pub fn post(&self, path: &str, json: &str) -> Vec<u8> {
        self.request("POST", path, &self.token, json)
    }

    /// A whole request for whomever the token is of; its own tenant if none is given.
    pub fn request(&self, method: &str, path: &str, token: &str, json: &str) -> Vec<u8> {
        let (address, length) = (self.address, json.len());
        let token = if token.is_empty() { &self.token } else { token };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/fhir+json\r\n\
             content-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n{json}"
        )
        .into_bytes()
    }

    /// Processor seconds that it has used.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds_of(&self.process.id().to_string())
    }

    /// Bytes that it has sent to the disk.
    pub fn written_bytes(&self) -> anyhow::Result<u64> {
        written_bytes_of(&self.process.id().to_string())
    }

    /// The most memory that it has used.
    pub fn peak_mib(&self) -> anyhow::Result<u64> {
        peak_mib_of(&self.process.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody needs what it would still do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listens_on(said: &str) -> Option<SocketAddr> {
    let (_, after) = said.split_once("listens on http://")?;
    after.split_once(',')?.0.parse().ok()
}

//! The real binary and a PostgreSQL that encrypts: whose certificate is taken, and what is said of one that is not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::{Done, Workplace, cluster::Cluster, database::Database};

/// A root and what vouches with it.
fn root() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
}

struct Scene {
    cluster: Cluster,
    workplace: Workplace,
}

impl Scene {
    /// Connects to the server by this name of its host, and with these parameters.
    fn connect(&self, host: &str, parameters: &str) -> Done {
        let url = format!("{}?{parameters}", self.cluster.url("lethe").replace("127.0.0.1", host));
        self.workplace.lethe(&["migrate"]).env("LETHE_DATABASE_URL", url).output().unwrap().into()
    }

    /// What the server's log has of a connection that succeeds.
    fn connected(&self, name: &str, host: &str, parameters: &str) -> String {
        let done = self.connect(host, &format!("application_name={name}&{parameters}"));
        assert_eq!(done.code, Some(0), "{parameters}: {done:?}");
        let (of_it, log) = (format!("application_name={name} "), format!("{}\n", self.cluster.log().replace('\n', " \n")));
        log.lines()
            .find(|line| line.contains("connection authorized") && line.contains(&of_it))
            .unwrap_or_else(|| panic!("{log}"))
            .to_owned()
    }

    fn refused(&self, host: &str, parameters: &str, because: &str, next: &str) {
        let done = self.connect(host, parameters);
        assert!(matches!(done.code, Some(1 | 2)), "{parameters}: {done:?}");
        assert!(done.stderr.contains(because) && done.stderr.contains(next), "{parameters}: {because}, {next}: {}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted_and_only_the_right_certificate_is_taken_where_one_is_asked_for() {
    let Some(cluster) = Cluster::start().await else { return };
    Database::of(&cluster).await;
    let ((right, issuer), (wrong, _)) = (root(), root());
    let scene = Scene { cluster, workplace: Workplace::new() };
    scene.workplace.write("right.pem", &right);
    scene.workplace.write("wrong.pem", &wrong);
    scene.workplace.write("none.pem", "no certificate");

    assert_eq!(scene.connect("localhost", "").code, Some(0), "who does not demand it goes on without");
    scene.refused("localhost", "sslmode=require&sslrootcert=right.pem", "server does not support TLS", "set ssl = on");

    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    scene.cluster.encrypt(&certificate.pem(), &key.serialize_pem()).await;
    let encrypted = "SSL enabled";
    assert!(!scene.connected("plain", "localhost", "sslmode=disable").contains(encrypted), "the control");
    assert!(scene.connected("default", "127.0.0.1", "").contains(encrypted));
    for mode in ["require", "verify-full"] {
        let parameters = format!("sslmode={mode}&sslrootcert=right.pem");
        assert!(scene.connected(mode, "localhost", &parameters).contains(encrypted), "{mode}");
        scene.refused("127.0.0.1", &parameters, "certificate not valid for name", "subjectAltName");
        for unknown in ["&sslrootcert=wrong.pem", ""] {
            scene.refused("localhost", &format!("sslmode={mode}{unknown}"), "invalid peer certificate", "nothing that this machine trusts");
        }
    }
    scene.refused("localhost", "sslmode=require&sslrootcert=none.pem", "it has no certificate", "a file in PEM");
    scene.refused("localhost", "sslmode=require&sslrootcert=missing.pem", "missing.pem", "a file in PEM");
    scene.refused("localhost", "sslrootcert=right.pem", "needs sslmode=require", "error");
    scene.refused("localhost", "sslmode=verify-ca", "verify-full", "error");

    // One that has signed itself, as its own root.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let itself = params.self_signed(&key).unwrap().pem();
    scene.workplace.write("itself.pem", &itself);
    scene.cluster.encrypt(&itself, &key.serialize_pem()).await;
    assert!(scene.connected("itself", "localhost", "").contains(encrypted));
    scene.refused("localhost", "sslmode=require&sslrootcert=itself.pem", "CaUsedAsEndEntity", "signed itself");
}

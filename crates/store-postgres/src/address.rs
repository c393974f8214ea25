//! The address of a database: the driver's, and beside it how the way there is encrypted.

use std::{borrow::Cow, future::Future, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{Client, Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{open::OpenError, tls};

/// What PostgreSQL's own library calls the one way of encrypting that also asks whose certificate it is; the driver has no such word.
const VERIFIED: &str = "verify-full";

/// Where the database is, and how one gets there.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
}

/// An address as it was written.
pub(crate) struct Written {
    pub(crate) config: Config,
    /// The file of roots that it names.
    roots: Option<PathBuf>,
}

impl Written {
    /// # Errors
    /// It is no address of PostgreSQL, or asks for what there is not.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(OpenError::Scheme);
        }
        // As the driver reads it: a password may have a question mark.
        let host_at = url.find('@').unwrap_or_default();
        let parameters_at = url[host_at..].find('?').map_or(url.len(), |place| host_at + place + 1);
        let (mut known, mut roots) = (Vec::new(), None);
        for parameter in url[parameters_at..].split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name, value) {
                ("sslrootcert", file) => roots = Some(PathBuf::from(percent_decode_str(file).decode_utf8_lossy().into_owned())),
                ("sslmode", VERIFIED) => known.push(Cow::from("sslmode=require")),
                ("sslmode", "disable" | "prefer" | "require") => known.push(Cow::from(parameter)),
                ("sslmode", _) => return Err(OpenError::SslMode),
                _ => known.push(Cow::from(parameter)),
            }
        }
        let config: Config = format!("{}{}", &url[..parameters_at], known.join("&")).parse().map_err(OpenError::Address)?;
        if roots.is_some() && config.get_ssl_mode() != SslMode::Require {
            return Err(OpenError::RootsInVain);
        }
        Ok(Self { config, roots })
    }
}

impl Address {
    /// # Errors
    /// As [`Written::parse`]; or the roots cannot be read by which the server's certificate is to be known.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let Written { config, roots } = Written::parse(url)?;
        let tls = match config.get_ssl_mode() {
            SslMode::Require => tls::verified(roots.as_deref())?,
            // The driver knows no others today. `Disable` does not come to use it.
            _ => tls::unverified()?,
        };
        Ok(Self { config, tls })
    }

    /// The same way, with other settings.
    pub(crate) fn with(&self, config: Config) -> Self {
        Self { config, tls: self.tls.clone() }
    }

    /// A connection, and what drives it.
    pub(crate) async fn connect(
        &self,
    ) -> Result<(Client, impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_the_way_is_encrypted() {
        let read = |parameters: &str| {
            let written = Written::parse(&format!("postgres://me:p?w@db/x{parameters}")).unwrap();
            assert_eq!((written.config.get_dbname(), written.config.get_password()), (Some("x"), Some(&b"p?w"[..])), "{parameters}");
            (written.config.get_ssl_mode(), written.roots)
        };
        let ca = || Some(PathBuf::from("/etc/my ca.pem"));
        assert_eq!(read(""), (SslMode::Prefer, None));
        assert_eq!(read("?sslmode=prefer&target_session_attrs=read-write"), (SslMode::Prefer, None));
        assert_eq!(read("?sslmode=disable"), (SslMode::Disable, None));
        assert_eq!(read("?target_session_attrs=read-write&sslmode=require"), (SslMode::Require, None));
        assert_eq!(read("?sslrootcert=/etc/my%20ca.pem&sslmode=require"), (SslMode::Require, ca()));
        assert_eq!(read("?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem"), (SslMode::Require, ca()));
        // However it is written, no other way than the verified one demands encryption.
        assert_eq!(read("?%73slmode=require"), (SslMode::Require, None));
    }

    #[test]
    fn what_would_encrypt_less_than_it_says_is_refused() {
        let refused = |parameters: &str| Written::parse(&format!("postgres://me@db/x?{parameters}")).err().unwrap();
        for weak in ["verify-ca", "allow", "Require", "requir", ""] {
            assert!(matches!(refused(&format!("sslmode={weak}")), OpenError::SslMode), "{weak}");
        }
        for parameters in ["sslrootcert=ca.pem", "sslmode=prefer&sslrootcert=ca.pem", "sslmode=disable&sslrootcert=ca.pem"] {
            assert!(matches!(refused(parameters), OpenError::RootsInVain), "{parameters}");
        }
        assert!(matches!(refused("sslcert=me.pem"), OpenError::Address(_)));
    }
}

//! The random bytes that secrets are made of.

use crate::error::ApiError;

/// Bytes from the operating system's cryptographic source.
///
/// # Errors
/// The operating system has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random bytes");
        ApiError::Defect
    })?;
    Ok(bytes)
}

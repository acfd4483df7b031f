//! Who may call.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, bail};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{StatusCode, header::HeaderName};
use log::warn;
use subtle::ConstantTimeEq;

use super::answer::Problem;

/// The header that carries a token.
static X_API_TOKEN: HeaderName = HeaderName::from_static("x-api-token");

/// Who is served.
pub(crate) enum Access {
    /// Callers who show the token.
    Token(Token),
    /// Callers from this host's loopback.
    Loopback,
    /// Everybody.
    Open,
}

impl Access {
    /// Lets a caller pass, or says why not.
    pub(super) fn check(&self, caller: IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Access::Open => Ok(()),
            Access::Loopback if caller.to_canonical().is_loopback() => Ok(()),
            Access::Loopback => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "without a token only callers from this host's loopback are served: \
                 set one with --api-token or --api-token-file (or lift this with --api-open)",
            )),
            Access::Token(token) if shown(headers).any(|shown| token.is(shown)) => Ok(()),
            Access::Token(_) => {
                let detail =
                    "the header X-API-Token, or Authorization: Bearer, with the right token is needed";
                let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
                Err(problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
        }
    }
}

/// All tokens that a caller shows.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    headers.get_all(&X_API_TOKEN).iter().map(HeaderValue::as_bytes).chain(bearer)
}

/// The token, of which only a hash is kept: hashes have one length, so that comparing them takes one time.
pub(crate) struct Token {
    state: Mutex<State>,
    file: Option<PathBuf>,
}

struct State {
    hash: blake3::Hash,
    /// Which version of the file it is from.
    version: Option<Version>,
}

type Version = (u64, u64, i64, i64, u64);

impl Token {
    /// A token that doesn't change.
    pub(crate) fn fixed(token: &str) -> Self {
        let state = State { hash: blake3::hash(token.as_bytes()), version: None };
        Token { state: Mutex::new(state), file: None }
    }

    /// The token in a file. It is read again when the file changes.
    pub(crate) fn file(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("can't read the token file {}", path.display());
        let version = version(path).with_context(failed)?;
        let hash = read(path).with_context(failed)?;
        let state = State { hash, version: Some(version) };
        Ok(Token { state: Mutex::new(state), file: Some(path.to_owned()) })
    }

    fn is(&self, shown: &[u8]) -> bool {
        let shown = blake3::hash(shown);
        bool::from(self.current().as_bytes().ct_eq(shown.as_bytes()))
    }

    /// The token now. While its file can't be read, the last one.
    fn current(&self) -> blake3::Hash {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(path) = &self.file else { return state.hash };
        let now = version(path).ok();
        if now != state.version {
            state.version = now;
            match read(path) {
                Ok(hash) => state.hash = hash,
                Err(error) => warn!("the last token stays: {}: {error}", path.display()),
            }
        }
        state.hash
    }
}

fn version(path: &Path) -> std::io::Result<Version> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.len()))
}

fn read(path: &Path) -> anyhow::Result<blake3::Hash> {
    let text = fs::read(path)?;
    let token = text.trim_ascii();
    if token.is_empty() {
        bail!("it is empty");
    }
    Ok(blake3::hash(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELSEWHERE: &str = "10.0.0.1";

    fn check(access: &Access, caller: &str, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers =
            headers.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        match access.check(caller.parse().unwrap(), &headers.collect()) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn a_token_is_shown_in_either_header() {
        let access = Access::Token(Token::fixed("secret"));
        assert_eq!(check(&access, ELSEWHERE, &[("x-api-token", "secret")]), 200);
        assert_eq!(check(&access, ELSEWHERE, &[("authorization", "bearer secret")]), 200);
        assert_eq!(check(&access, "127.0.0.1", &[]), 401);
        for wrong in ["", "secre", "secret2", "Secret"] {
            assert_eq!(check(&access, ELSEWHERE, &[("x-api-token", wrong)]), 401, "{wrong}");
        }
        assert_eq!(check(&access, ELSEWHERE, &[("authorization", "secret")]), 401);
        assert_eq!(check(&access, ELSEWHERE, &[("authorization", "Basic secret")]), 401);
    }

    #[test]
    fn without_a_token_only_loopback_is_served() {
        for (caller, status) in [
            ("127.0.0.1", 200),
            ("127.9.9.9", 200),
            ("::1", 200),
            ("::ffff:127.0.0.1", 200),
            ("10.0.0.1", 403),
            ("::ffff:10.0.0.1", 403),
            ("fe80::1", 403),
        ] {
            assert_eq!(check(&Access::Loopback, caller, &[]), status, "{caller}");
        }
        assert_eq!(check(&Access::Open, ELSEWHERE, &[]), 200);
    }

    #[test]
    fn a_token_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Token::file(&path).is_err());
        fs::write(&path, " \n").unwrap();
        assert!(Token::file(&path).is_err());
        fs::write(&path, "one\n").unwrap();
        let token = Token::file(&path).unwrap();
        assert!(token.is(b"one") && !token.is(b"two"));
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(token.is(b"two") && !token.is(b"one"));
        fs::remove_file(&path).unwrap();
        assert!(token.is(b"two"), "the last token stays");
        fs::write(&path, "three").unwrap();
        assert!(token.is(b"three"));
    }
}

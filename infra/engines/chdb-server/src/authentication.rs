//! Who may ask: one user with one password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::exception::{Exception, Kind};
use crate::parameters::Parameters;

const USER_HEADER: &str = "x-clickhouse-user";
const KEY_HEADER: &str = "x-clickhouse-key";

/// The user whom the server knows.
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Account {
    /// Takes the user and password from the headers `X-ClickHouse-User` and `X-ClickHouse-Key`, from
    /// `Authorization: Basic`, or from the parameters `user` and `password`; not from two of them.
    ///
    /// # Errors
    /// `AUTHENTICATION_FAILED`.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        parameters: &Parameters,
    ) -> Result<(), Exception> {
        let (user, password) = presented(headers, parameters)?;
        let is_user = self.user.as_bytes().ct_eq(&user);
        let is_password = self.password.as_bytes().ct_eq(&password);
        if bool::from(is_user & is_password) {
            return Ok(());
        }
        Err(failure(format_args!(
            "{}: Authentication failed: password is incorrect, or there is no user with such name",
            String::from_utf8_lossy(&user)
        )))
    }
}

type Credentials = (Vec<u8>, Vec<u8>);

fn presented(headers: &HeaderMap, parameters: &Parameters) -> Result<Credentials, Exception> {
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
    let from_headers = (header(USER_HEADER), header(KEY_HEADER));
    let from_parameters = (parameters.user.clone(), parameters.password.clone());
    let basic = headers.get(AUTHORIZATION).map(|value| basic(value.as_bytes())).transpose()?;
    let mut ways = [from_headers, from_parameters]
        .into_iter()
        .filter(|(user, password)| user.is_some() || password.is_some())
        .map(|(user, password)| {
            (user.unwrap_or_else(|| b"default".to_vec()), password.unwrap_or_default())
        })
        .chain(basic);
    let credentials = ways.next().unwrap_or_else(|| (b"default".to_vec(), Vec::new()));
    if ways.next().is_some() {
        return Err(failure(
            "Invalid authentication: it is not allowed to use two methods at once",
        ));
    }
    Ok(credentials)
}

fn basic(value: &[u8]) -> Result<Credentials, Exception> {
    let malformed = || failure("Invalid authentication: only the Basic scheme is supported");
    let (scheme, encoded) = value.split_at_checked(6).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).map_err(|_| malformed())?;
    let colon = decoded.iter().position(|&byte| byte == b':').ok_or_else(malformed)?;
    let (user, password) = decoded.split_at(colon);
    Ok((user.to_vec(), password.get(1..).unwrap_or_default().to_vec()))
}

fn failure(description: impl std::fmt::Display) -> Exception {
    Exception::new(Kind::AuthenticationFailed, description)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], query: &str) -> Result<(), u16> {
        let account = Account { user: "default".to_owned(), password: "secret".to_owned() };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let parameters = Parameters::credentials(&crate::parameters::pairs_of_url(query));
        account.check(&headers, &parameters).map_err(|exception| exception.code)
    }

    #[test]
    fn each_way_to_present_a_password_works() {
        assert_eq!(
            check(&[("X-ClickHouse-User", "default"), ("X-ClickHouse-Key", "secret")], ""),
            Ok(())
        );
        assert_eq!(check(&[("X-ClickHouse-Key", "secret")], ""), Ok(()));
        assert_eq!(check(&[("Authorization", "Basic ZGVmYXVsdDpzZWNyZXQ=")], ""), Ok(()));
        assert_eq!(check(&[], "user=default&password=secret"), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(check(&[], ""), Err(516));
        assert_eq!(check(&[], "password=secre"), Err(516));
        assert_eq!(check(&[], "password=secret0"), Err(516));
        assert_eq!(check(&[], "user=root&password=secret"), Err(516));
        assert_eq!(check(&[("Authorization", "Bearer secret")], ""), Err(516));
        assert_eq!(check(&[("Authorization", "Basic ???")], ""), Err(516));
        assert_eq!(check(&[("X-ClickHouse-Key", "secret")], "password=secret"), Err(516));
    }
}

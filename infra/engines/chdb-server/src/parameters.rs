//! The parameters of a request: those of HTTP, query parameters, and settings.

use std::time::Duration;

use percent_encoding::percent_decode;

use crate::confinement;
use crate::exception::{Exception, Kind};
use crate::ffi::Parameter;

/// ClickHouse's defaults: `default_session_timeout` and `max_session_timeout`.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(3600);

/// What a request asks for, beside its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) query: Vec<u8>,
    pub(crate) database: Option<Vec<u8>>,
    pub(crate) default_format: Option<String>,
    pub(crate) query_id: Option<String>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) session: Option<SessionRequest>,
    /// Answer in ClickHouse's own compressed frames.
    pub(crate) compress: bool,
    /// The body comes in such frames.
    pub(crate) decompress: bool,
    /// `Accept-Encoding` counts.
    pub(crate) no_http_compression: bool,
    /// Answer when the query has ended, so that every error has its status.
    pub(crate) wait_end_of_query: bool,
    /// Values of `{name:Type}` placeholders.
    pub(crate) values: Vec<Parameter>,
    /// Settings of the engine, in order.
    pub(crate) settings: Vec<(String, Vec<u8>)>,
}

/// Which session a request belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub(crate) id: Vec<u8>,
    pub(crate) timeout: Duration,
    /// The session has to exist already.
    pub(crate) must_exist: bool,
    /// The session ends with this request.
    pub(crate) close: bool,
}

impl Parameters {
    /// Sorts name-value pairs; of two with one name the later counts.
    ///
    /// # Errors
    /// A value that cannot be read, or a request for something that is not there.
    pub(crate) fn from_pairs(
        pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, Exception> {
        let mut parameters = Self::default();
        let mut session_id = None;
        let mut timeout = SESSION_TIMEOUT;
        let mut must_exist = false;
        let mut close = false;
        for (name, value) in pairs {
            let name = text(&name)?;
            match name.as_str() {
                "query" => parameters.query = value,
                "database" => parameters.database = Some(value).filter(|name| !name.is_empty()),
                "default_format" => parameters.default_format = Some(format_name(&value)?),
                "query_id" => parameters.query_id = Some(text(&value)?).filter(|id| !id.is_empty()),
                "user" | "password" => {}
                "session_id" => session_id = Some(value).filter(|id| !id.is_empty()),
                "session_timeout" => timeout = session_timeout(&value)?,
                "session_check" => must_exist = flag(&value),
                "close_session" => close = flag(&value),
                "compress" => parameters.compress = flag(&value),
                "decompress" => parameters.decompress = flag(&value),
                "wait_end_of_query" => parameters.wait_end_of_query = flag(&value),
                "buffer_size" | "quota_key" | "stacktrace" => {}
                "role" => return Err(Exception::new(Kind::Unsupported, "There are no roles here")),
                "client_protocol_version" if value.as_slice() != b"0" => {
                    return Err(Exception::new(
                        Kind::Unsupported,
                        "Native output is of protocol version 0 only",
                    ));
                }
                "client_protocol_version" => {}
                _ => match name.strip_prefix("param_") {
                    Some(name) => parameters.values.push((name.as_bytes().to_vec(), value)),
                    None => parameters.set(name, value)?,
                },
            }
        }
        parameters.session = session_id.map(|id| SessionRequest { id, timeout, must_exist, close });
        Ok(parameters)
    }

    /// The user and password alone, before anything else of a request is looked at.
    pub(crate) fn credentials(pairs: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let last = |wanted: &[u8]| {
            pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        Self { user: last(b"user"), password: last(b"password"), ..Self::default() }
    }

    fn set(&mut self, name: String, value: Vec<u8>) -> Result<(), Exception> {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(Exception::new(
                Kind::UnknownSetting,
                format_args!("Unknown setting '{name}'"),
            ));
        }
        confinement::check_setting(&name)?;
        match name.as_str() {
            "enable_http_compression" => self.no_http_compression = !flag(&value),
            "http_wait_end_of_query" => self.wait_end_of_query = flag(&value),
            _ => {}
        }
        self.settings.retain(|(other, _)| *other != name);
        self.settings.push((name, value));
        Ok(())
    }
}

/// The pairs of a URL's query string, or of a form.
pub(crate) fn pairs_of_url(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// A format's name can only be a word, since it becomes part of a statement.
pub(crate) fn format_name(value: &[u8]) -> Result<String, Exception> {
    let name = text(value)?;
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(name)
    } else {
        Err(Exception::new(Kind::BadArguments, format_args!("Bad format name {name:?}")))
    }
}

fn decode(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

fn text(value: &[u8]) -> Result<String, Exception> {
    String::from_utf8(value.to_vec())
        .map_err(|_| Exception::new(Kind::BadArguments, "A parameter is not UTF-8"))
}

fn flag(value: &[u8]) -> bool {
    value == b"1" || value.eq_ignore_ascii_case(b"true")
}

fn session_timeout(value: &[u8]) -> Result<Duration, Exception> {
    text(value)?
        .parse()
        .ok()
        .map(Duration::from_secs)
        .filter(|timeout| *timeout <= MAX_SESSION_TIMEOUT)
        .ok_or_else(|| {
            let limit = MAX_SESSION_TIMEOUT.as_secs();
            Exception::new(
                Kind::BadArguments,
                format_args!("session_timeout is 0 to {limit} seconds"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Exception> {
        Parameters::from_pairs(pairs_of_url(query))
    }

    #[test]
    fn a_url_is_sorted_into_parameters_values_and_settings() {
        let parameters = parse(
            "query=SELECT+%27a%2Bb%27&database=d%60&param_x=%ff&max_threads=1&max_threads=2&compress=1",
        )
        .unwrap();
        assert_eq!(parameters.query, b"SELECT 'a+b'");
        assert_eq!(parameters.database.as_deref(), Some(&b"d`"[..]));
        assert_eq!(parameters.values, [(b"x".to_vec(), vec![0xff])]);
        assert_eq!(parameters.settings, [("max_threads".to_owned(), b"2".to_vec())]);
        assert!(parameters.compress && !parameters.decompress);
    }

    #[test]
    fn what_cannot_be_a_setting_is_an_unknown_one() {
        assert_eq!(parse("a%20%3D1=1").unwrap_err().code, 115);
        assert_eq!(parse("format_schema=x").unwrap_err().code, 497);
        assert_eq!(parse("default_format=CSV%20x").unwrap_err().code, 36);
    }

    #[test]
    fn a_session_has_a_limited_timeout() {
        let session =
            parse("session_id=s&session_timeout=5&session_check=1").unwrap().session.unwrap();
        assert_eq!((session.timeout, session.must_exist), (Duration::from_secs(5), true));
        assert!(parse("session_id=s&session_timeout=3601").is_err());
    }
}

//! Exceptions in ClickHouse's form: a code, its name, a text, and the HTTP status that goes with it.

use hyper::StatusCode;

/// A failed query, as the client is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// ClickHouse's number for the kind of error.
    pub(crate) code: u16,
    /// `Code: N. DB::Exception: … (NAME)`, one line or more, without the version.
    pub(crate) text: String,
}

/// The kinds of error that this server raises by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadArguments,
    Unsupported,
    SyntaxError,
    UnknownSetting,
    IncorrectData,
    ReadOnly,
    QueryIsTooLarge,
    ChecksumMismatch,
    SessionNotFound,
    SessionLocked,
    AccessDenied,
    AuthenticationFailed,
    Internal,
}

impl Kind {
    const fn code_and_name(self) -> (u16, &'static str) {
        match self {
            Self::BadArguments => (36, "BAD_ARGUMENTS"),
            Self::Unsupported => (48, "NOT_IMPLEMENTED"),
            Self::SyntaxError => (62, "SYNTAX_ERROR"),
            Self::UnknownSetting => (115, "UNKNOWN_SETTING"),
            Self::IncorrectData => (117, "INCORRECT_DATA"),
            Self::ReadOnly => (164, "READONLY"),
            Self::QueryIsTooLarge => (168, "QUERY_IS_TOO_LARGE"),
            Self::ChecksumMismatch => (40, "CHECKSUM_DOESNT_MATCH"),
            Self::SessionNotFound => (372, "SESSION_NOT_FOUND"),
            Self::SessionLocked => (373, "SESSION_IS_LOCKED"),
            Self::AccessDenied => (497, "ACCESS_DENIED"),
            Self::AuthenticationFailed => (516, "AUTHENTICATION_FAILED"),
            Self::Internal => (49, "LOGICAL_ERROR"),
        }
    }
}

impl Exception {
    /// An exception of the server's own.
    pub(crate) fn new(kind: Kind, description: impl std::fmt::Display) -> Self {
        let (code, name) = kind.code_and_name();
        Self { code, text: format!("Code: {code}. DB::Exception: {description}. ({name})") }
    }

    /// Something that a request should not be able to cause.
    pub(crate) fn internal(description: impl std::fmt::Display) -> Self {
        Self::new(Kind::Internal, description)
    }

    /// An engine's message. The engine wraps some of them twice; the inner one is kept.
    pub(crate) fn from_engine(text: &str) -> Self {
        let text = unwrap_repeated(text.trim());
        Self {
            code: leading_code(text).unwrap_or(Kind::Internal.code_and_name().0),
            text: text.to_owned(),
        }
    }

    /// The same, without a path that the client has no use for.
    pub(crate) fn without(mut self, path: &[u8]) -> Self {
        let path = String::from_utf8_lossy(path);
        self.text = self.text.replace(&format!("(in file/uri {path}): "), "");
        self
    }

    /// The body of the answer.
    pub(crate) fn body(&self, version: &str) -> String {
        format!("{} (version {version} (embedded build))\n", self.text)
    }

    /// The status that ClickHouse gives to the code
    /// (its `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`).
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167
            | 168 | 223 | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => {
                StatusCode::NOT_FOUND
            }
            229 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            159 => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The block that ends a body whose status line is already sent: a client that knows the tag from
    /// the header `X-ClickHouse-Exception-Tag` finds the exception at the very end of the body.
    pub(crate) fn trailing_block(&self, tag: &str, version: &str) -> String {
        const MARKER: &str = "__exception__";
        let body = self.body(version);
        let length = body.len();
        format!("\r\n{MARKER}\r\n{tag}\r\n{body}{length} {tag}\r\n{MARKER}\r\n")
    }
}

impl From<std::io::Error> for Exception {
    /// Reads the exception back that a decoder put inside, or reports the failed read or write.
    fn from(error: std::io::Error) -> Self {
        match error.downcast::<Exception>() {
            Ok(exception) => exception,
            Err(error) => {
                Self::new(Kind::IncorrectData, format!("Cannot process the body: {error}"))
            }
        }
    }
}

impl From<Exception> for std::io::Error {
    fn from(exception: Exception) -> Self {
        Self::other(exception)
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Exception {}

const PREFIX: &str = "Code: ";
const CLASS: &str = " DB::Exception: ";

fn leading_code(text: &str) -> Option<u16> {
    let (code, _) = text.strip_prefix(PREFIX)?.split_once('.')?;
    code.parse().ok()
}

/// `Code: N. DB::Exception: Code: N. … (NAME) (version V). (NAME)` becomes `Code: N. … (NAME)`, however
/// often it is wrapped.
fn unwrap_repeated(mut text: &str) -> &str {
    while let Some(inner) = wrapped(text) {
        text = inner;
    }
    text
}

fn wrapped(text: &str) -> Option<&str> {
    let (_, inner) = text.split_once(CLASS)?;
    if leading_code(inner)? != leading_code(text)? {
        return None;
    }
    let (inner, _) = inner.rsplit_once(" (version ")?;
    inner.ends_with(')').then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_message_keeps_its_code_and_its_text() {
        let text = "Code: 60. DB::Exception: Unknown table x. (UNKNOWN_TABLE)";
        let exception = Exception::from_engine(text);
        assert_eq!((exception.code, exception.text.as_str()), (60, text));
        assert_eq!(exception.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_message_that_the_engine_wrapped_is_unwrapped() {
        let inner = "Code: 115. DB::Exception: Unknown setting 'x'. (UNKNOWN_SETTING)";
        let text =
            format!("Code: 115. DB::Exception: {inner} (version 26.5.1.1). (UNKNOWN_SETTING)");
        assert_eq!(Exception::from_engine(&text).text, inner);
        let twice =
            format!("Code: 115. DB::Exception: {text} (version 26.5.1.1). (UNKNOWN_SETTING)");
        assert_eq!(Exception::from_engine(&twice).text, inner);
    }

    #[test]
    fn a_message_without_a_code_is_an_internal_error() {
        let exception = Exception::from_engine("No active streaming query");
        assert_eq!(exception.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn the_trailing_block_tells_its_own_length() {
        let exception = Exception::new(Kind::ReadOnly, "no");
        let block = exception.trailing_block("0123456789abcdef", "1");
        let body = exception.body("1");
        assert!(block.contains(&format!("{body}{} 0123456789abcdef\r\n", body.len())));
        assert!(
            block.starts_with("\r\n__exception__\r\n") && block.ends_with("\r\n__exception__\r\n")
        );
    }

    #[test]
    fn an_exception_survives_the_way_through_a_reader() {
        let exception = Exception::new(Kind::ChecksumMismatch, "no");
        assert_eq!(Exception::from(std::io::Error::from(exception.clone())), exception);
    }
}

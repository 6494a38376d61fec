//! What a check needs and the log must not know.

use std::borrow::Cow;

use schemars::generate::Contract;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::SecretId;

/// A secret. The log holds its id alone; the value lies encrypted in the table `secrets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Which secret.
    pub secret: SecretId,
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let reference = json_schema!({
            "type": "object",
            "properties": {"secret": generator.subschema_for::<SecretId>()},
            "required": ["secret"],
            "additionalProperties": false,
            "description": "A secret that is kept: its id. Its value is never shown.",
        });
        if *generator.contract() == Contract::Serialize {
            return reference;
        }
        json_schema!({
            "description": "The secret, which is written and never shown: an answer has its id in \
                its place.",
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": 4096, "writeOnly": true},
                reference,
            ],
        })
    }
}

/// How a request says who asks. It goes to the URL's own origin alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum HttpAuth {
    /// A name and a password (RFC 7617).
    Basic {
        /// The name, without a colon: at most 255 bytes.
        username: String,
        /// The password.
        password: SecretRef,
    },
    /// A token (RFC 6750).
    Bearer {
        /// The token.
        token: SecretRef,
    },
}

impl HttpAuth {
    /// The secret in it.
    #[must_use]
    pub fn secret(&self) -> SecretRef {
        match self {
            Self::Basic { password, .. } => *password,
            Self::Bearer { token } => *token,
        }
    }
}

//! An attempt to get in, counted by the address that it comes from before its body is read.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pulsetrail_domain::UserId;
use pulsetrail_infra::http::Problem;

use super::super::CommandState;
use crate::accounts::{Email, is_known_address, note_address};

/// Is let through where there were not too many from the same address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Where it comes from, if the server knows.
    address: Option<IpAddr>,
}

impl FromRequestParts<CommandState> for Attempt {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &CommandState,
    ) -> Result<Self, Self::Rejection> {
        state.authenticator.count_attempt(parts).await?;
        Ok(Self { address: state.authenticator.ingress().client(parts) })
    }
}

impl Attempt {
    /// Counts a sign-in to an account, also to one that does not exist: a limit must not tell. By the
    /// account and the address together, so that a stranger's guesses stop the stranger; and by the account
    /// alone, unless its person has signed in from that address before.
    ///
    /// # Errors
    /// 429, or 503 where it cannot be counted.
    pub(super) async fn count_sign_in(
        self,
        state: &CommandState,
        email: &Email,
    ) -> Result<(), Problem> {
        let email_and_address = match self.address {
            Some(address) => format!("{} {address}", email.as_str()),
            None => email.as_str().to_owned(),
        };
        state.sign_ins.count(&email_and_address).await?;
        if is_known_address(&state.store.read, email, &self.marks(state)).await? {
            return Ok(());
        }
        state.account_sign_ins.count(email.as_str()).await
    }

    /// Keeps that a person has signed in from there.
    pub(super) async fn note_sign_in(
        self,
        state: &CommandState,
        user_id: UserId,
    ) -> Result<(), Problem> {
        if let Some(mark) = self.marks(state).first() {
            note_address(&state.store.write, user_id, mark).await?;
        }
        Ok(())
    }

    /// What the address is known by, the newest key's first.
    fn marks(self, state: &CommandState) -> Vec<Vec<u8>> {
        let address = self.address.map(|address| format!("signed in from {address}"));
        address.map(|text| state.keyring.fingerprints(text.as_bytes())).unwrap_or_default()
    }
}

//! `pulsetrail user`: people who have an account.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use pulsetrail_commands::accounts::{
    AccountFailure, Email, Metadata, Password, PasswordHasher, reset_password,
};
use pulsetrail_infra::settings::Settings;
use uuid::Uuid;

use crate::connect;

/// What is asked about people.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Users {
    /// Set a new password for somebody who has forgotten theirs, and end all of their sessions.
    ///
    /// The new password is printed, unless it is given on standard input.
    ResetPassword {
        /// The e-mail address of their account.
        email: String,
        /// Read the new password from the first line of standard input.
        #[arg(long)]
        stdin: bool,
    },
}

pub(crate) async fn run(settings: &Settings, asked: Users) -> anyhow::Result<()> {
    let Users::ResetPassword { email, stdin } = asked;
    let address = Email::try_from(email.as_str())?;
    let text = if stdin { given_password()? } else { Uuid::new_v4().simple().to_string() };
    let password = Password::try_from(text.clone()).context("the password")?;
    let store = connect::store_for_one_question(settings).await?;
    let hasher = PasswordHasher::new(
        settings.argon2_memory_kib,
        settings.argon2_iterations,
        settings.argon2_parallelism,
    );
    let hash = hasher.hash(password).await?;
    let metadata = Metadata::from([("actor".to_owned(), "command line".to_owned())]);
    let ended = match reset_password(&store.write, &address, &hash, &metadata).await {
        Err(AccountFailure::NoSuchMember) => bail!("nobody has an account with {email}"),
        ended => ended.context("PULSETRAIL_DATABASE_URL")?,
    };
    println!("{email} has a new password; {ended} sessions ended");
    if !stdin {
        println!("{text}");
    }
    Ok(())
}

/// The first line of standard input.
fn given_password() -> anyhow::Result<String> {
    let mut text = String::new();
    // More than any password has is not read.
    std::io::stdin().take(4_096).read_to_string(&mut text).context("standard input")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

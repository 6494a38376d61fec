//! `pulsetrail operator`: who runs the installation.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use pulsetrail_commands::accounts::{
    AccountFailure, Email, Metadata, list_operators, set_operator,
};
use pulsetrail_infra::settings::Settings;

use crate::connect;

/// What is asked about operators.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Operators {
    /// List them, a line each.
    List,
    /// Let somebody who has an account run the installation.
    Grant {
        /// The e-mail address of their account.
        email: String,
    },
    /// Let somebody run the installation no more.
    Revoke {
        /// The e-mail address of their account.
        email: String,
    },
}

pub(crate) async fn run(settings: &Settings, asked: Operators) -> anyhow::Result<()> {
    let store = connect::store_for_one_question(settings).await?;
    let (email, operator) = match &asked {
        Operators::List => {
            for operator in list_operators(&store.read).await? {
                println!("{}  {}", operator.email, operator.name.unwrap_or_default());
            }
            return Ok(());
        }
        Operators::Grant { email } => (email, true),
        Operators::Revoke { email } => (email, false),
    };
    let address = Email::try_from(email.as_str())?;
    let metadata = Metadata::from([("actor".to_owned(), "command line".to_owned())]);
    let changed = match set_operator(&store.write, &address, operator, &metadata).await {
        Err(AccountFailure::NoSuchMember) => bail!("nobody has an account with {email}"),
        changed => changed.context("PULSETRAIL_DATABASE_URL")?,
    };
    let says = if operator { "runs the installation" } else { "does not run the installation" };
    println!("{email} {says}{}", if changed { "" } else { " already" });
    if list_operators(&store.read).await?.is_empty() {
        println!("nobody runs it now: `pulsetrail operator grant EMAIL` names somebody");
    }
    Ok(())
}

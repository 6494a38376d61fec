//! Accounts: people, their passwords and sessions, the organizations that they belong to, and the keys
//! of programs.

mod api_keys;
mod email;
mod erase;
mod invitations;
mod known_addresses;
mod members;
mod operators;
mod password;
mod reset_password;
mod secret;
mod sessions;
mod tables;

use std::collections::HashMap;

pub use api_keys::{ApiKey, NewApiKey, create_api_key, list_api_keys, revoke_api_key};
pub use email::{Email, InvalidEmail};
pub use erase::{erase_account, monitors_left_behind};
pub use invitations::{
    Invitation, accept_invitation, invite, list_invitations, withdraw_invitation,
};
pub use known_addresses::{is_known_address, note_address};
pub use members::{Member, Membership, change_role, list_members, list_memberships, remove_member};
pub use operators::{Operator, list_operators, set_operator};
pub use password::{InvalidPassword, Password, PasswordFailure, PasswordHasher};
pub use reset_password::reset_password;
pub use secret::{Secret, session_of};
pub use sessions::{OpenSession, begin_session, change_password, end_session, refresh_session};
pub use tables::{
    Account, AccountFailure, NewAccount, StoredLogin, find_login, find_password, insert_account,
    load_account, nobody_is_registered,
};

/// What the log keeps of a command besides its events: who asked, and in which request.
pub type Metadata = HashMap<String, String>;

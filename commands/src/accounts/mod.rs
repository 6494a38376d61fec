//! Accounts: people, their passwords, and the organizations that they belong to.

mod email;
mod password;
mod tables;

pub use email::{Email, InvalidEmail};
pub use password::{InvalidPassword, Password, PasswordFailure, PasswordHasher};
pub use tables::{
    Account, AccountFailure, NewAccount, StoredLogin, find_login, insert_account, load_account,
    nobody_is_registered,
};

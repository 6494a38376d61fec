//! The configuration files that the engine is started with.
//!
//! Without `--config-file` the engine would read a `config.xml` from the working directory. The grants
//! are the engine's own access control: they keep table functions, table engines, dictionaries and
//! backups away from files and from the network.

use std::io;
use std::path::{Path, PathBuf};

/// What the one user may not do. Sources are readers of files and openers of sockets.
const REVOKED: [&str; 2] = [
    "REVOKE FILE, URL, REMOTE, MONGO, REDIS, MYSQL, POSTGRES, SQLITE, ODBC, JDBC, HDFS, S3, HIVE, \
     AZURE, KAFKA, NATS, RABBITMQ, YTSAURUS, ARROW FLIGHT, SOURCES, BACKUP, INTROSPECTION, CLUSTER, \
     SYSTEM SHUTDOWN, CREATE DICTIONARY, NAMED COLLECTION ADMIN ON *.*",
    "REVOKE TABLE ENGINE ON *",
];

/// Writes the files into `directory` and returns the path of the main one.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn write(directory: &Path) -> io::Result<PathBuf> {
    let users = directory.join("users.xml");
    let main = directory.join("config.xml");
    let user_files = directory.join("user_files");
    std::fs::create_dir_all(&user_files)?;
    std::fs::write(&users, users_xml())?;
    std::fs::write(&main, main_xml(&users, &user_files))?;
    Ok(main)
}

fn main_xml(users: &Path, user_files: &Path) -> String {
    format!(
        "<clickhouse>\n  <users_config>{}</users_config>\n  <user_files_path>{}/</user_files_path>\n\
         </clickhouse>\n",
        escape(&users.to_string_lossy()),
        escape(&user_files.to_string_lossy()),
    )
}

/// An insert is done when it is answered (`async_insert` off), `1+1` is not a query, and the rows of an INSERT are
/// values and not expressions: they are not looked into, and `file(…)` among them would read any file.
fn users_xml() -> String {
    let revoked: String =
        REVOKED.iter().map(|revoke| format!("        <query>{revoke}</query>\n")).collect();
    format!(
        "<clickhouse>
  <profiles>
    <default>
      <async_insert>0</async_insert>
      <implicit_select>0</implicit_select>
      <input_format_values_interpret_expressions>0</input_format_values_interpret_expressions>
      <input_format_values_deduce_templates_of_expressions>0</input_format_values_deduce_templates_of_expressions>
    </default>
  </profiles>
  <quotas><default></default></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT ALL ON *.*</query>
{revoked}      </grants>
    </default>
  </users>
</clickhouse>
"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_break_the_file() {
        let xml = main_xml(Path::new("/a<b>&c/users.xml"), Path::new("/u"));
        assert!(xml.contains("<users_config>/a&lt;b&gt;&amp;c/users.xml</users_config>"));
    }
}

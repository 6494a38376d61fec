//! Where `make engines` put Kafka and libchdb. The versions are read from the files that it installs from,
//! so that they are written down once.

use std::env;
use std::path::PathBuf;

use super::{Engine, EngineError, EngineSettings};

const KAFKA_POM: &str = include_str!("../../engines/kafka/pom.xml");
const CHDB_PACKAGE: &str = include_str!("../../engines/chdb/package.json");

/// Where the npm package puts the library.
const LIBCHDB: &str = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";

/// The folder of the installed Kafka.
pub(super) fn kafka(settings: &EngineSettings) -> Result<PathBuf, EngineError> {
    installed(settings, Engine::Kafka, "kafka", between(KAFKA_POM, "<kafka.version>", "</"), "lib")
}

/// The installed `libchdb.so`.
pub(super) fn chdb_library(settings: &EngineSettings) -> Result<PathBuf, EngineError> {
    let version = between(CHDB_PACKAGE, "\"version\": \"", "\"");
    Ok(installed(settings, Engine::ClickHouse, "chdb", version, LIBCHDB)?.join(LIBCHDB))
}

fn installed(
    settings: &EngineSettings,
    engine: Engine,
    name: &str,
    version: &str,
    needed: &str,
) -> Result<PathBuf, EngineError> {
    let engines_dir = settings.engines_dir.clone().or_else(default_dir);
    let folder = engines_dir.map(|folder| folder.join(format!("{name}-{version}")));
    match folder {
        Some(folder) if folder.join(needed).exists() => Ok(folder),
        Some(folder) => Err(EngineError::NotInstalled {
            engine,
            missing: format!("{} is missing", folder.join(needed).display()),
        }),
        None => Err(EngineError::NotInstalled { engine, missing: "HOME is not set".to_owned() }),
    }
}

fn default_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("pulsetrail/engines"))
}

fn between(text: &'static str, before: &str, after: &str) -> &'static str {
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_once(after))
        .map_or("unknown", |(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_that_make_engines_installs() {
        let kafka = between(KAFKA_POM, "<kafka.version>", "</");
        assert!(kafka.starts_with("4."), "{kafka}");
        let chdb = between(CHDB_PACKAGE, "\"version\": \"", "\"");
        assert!(chdb.split('.').count() == 3, "{chdb}");
    }
}

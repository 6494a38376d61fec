use std::fs;
use std::os::unix::fs::PermissionsExt;

use pulsetrail_infra::engines::{DataDir, Engine, EngineError, EngineSettings, start};

#[test]
fn a_second_user_of_a_data_directory_learns_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let held = DataDir::open(directory.path()).unwrap();
    match DataDir::open(directory.path()) {
        Err(EngineError::Locked { path, holder }) => {
            assert_eq!(path, held.path());
            assert_eq!(holder, std::process::id().to_string());
        }
        other => panic!("{other:?}"),
    }
    drop(held);
    DataDir::open(directory.path()).unwrap();
}

#[test]
fn a_data_directory_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(DataDir::open(directory.path()).unwrap());
    let version = directory.path().join("version");
    fs::write(&version, "2\n").unwrap();
    match DataDir::open(directory.path()) {
        Err(EngineError::NewerVersion { path, found, known: 1 }) => {
            assert_eq!(path, version.canonicalize().unwrap());
            assert_eq!(found, "2");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_is_made_once_and_read_by_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(directory.path()).unwrap();
    let secret = data_dir.secret("one").unwrap();
    assert_eq!(secret.len(), 64);
    assert_ne!(secret, data_dir.secret("other").unwrap());
    drop(data_dir);
    assert_eq!(DataDir::open(directory.path()).unwrap().secret("one").unwrap(), secret);
    let mode = directory.path().join("secrets/one").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn an_external_engine_that_does_not_answer_is_named_with_its_setting_and_address() {
    let directory = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = EngineSettings {
        database_url: Some(format!("postgres://someone:secret@127.0.0.1:{port}/x")),
        kafka_brokers: Some(format!("127.0.0.1:{port}")),
        clickhouse_url: Some(format!("http://someone:secret@127.0.0.1:{port}")),
        external_timeout: std::time::Duration::from_secs(1),
        ..EngineSettings::default()
    };
    let error = start(&settings, directory.path(), |_| {}).await.unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(error, EngineError::Unreachable { engine: Engine::Postgres, .. }),
        "{message}"
    );
    for part in ["PULSETRAIL_DATABASE_URL", &format!("127.0.0.1:{port}")] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("secret"), "{message}");
}

//! Functions that read files or open sockets. The grants refuse most of them as well.

/// Whether a function of this name, in lower case, reads files or opens sockets. Families are known by their
/// beginning: new members come with new releases.
pub(super) fn reaches_out(name: &str) -> bool {
    const FAMILIES: [&str; 6] = ["azure", "deltalake", "hudi", "iceberg", "paimon", "s3"];
    const NAMES: [&str; 34] = [
        "arrowflight",
        "catboostevaluate",
        "cluster",
        "clusterallreplicas",
        "cosn",
        "executable",
        "file",
        "filecluster",
        "filesystem",
        "gcs",
        "hdfs",
        "hdfscluster",
        "hive",
        "jdbc",
        "kafka",
        "meilisearch",
        "mongo",
        "mongodb",
        "mysql",
        "nats",
        "odbc",
        "oss",
        "postgres",
        "postgresql",
        "python",
        "rabbitmq",
        "redis",
        "remote",
        "remotesecure",
        "reversednsquery",
        "sqlite",
        "url",
        "urlcluster",
        "ytsaurus",
    ];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

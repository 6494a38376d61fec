//! chdb-server

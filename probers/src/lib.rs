//! probers

//! `pulsetrail egress-policy`: the shield's table as rules for what lies below the process.

mod json;
mod kubernetes;
mod nftables;
#[cfg(test)]
mod tests;

use clap::ValueEnum;
use ipnet::IpNet;
use pulsetrail_domain::egress::EgressPolicy;
use pulsetrail_infra::settings::Settings;

/// What the rules are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Other programs: the table, its sources and what is refused in all.
    Json,
    /// `nft -f`, on the prober's machine or in its network namespace.
    Nftables,
    /// `kubectl apply`, for the prober's pods.
    Kubernetes,
}

/// What is printed, and for whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the rules are written for.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// A range that the prober itself needs, such as Kafka's or the name servers' (repeatable). It is let
    /// through below the process; the shield refuses it to monitors all the same.
    #[arg(long, value_name = "CIDR")]
    pass: Vec<IpNet>,
}

/// The rules of this installation.
pub(crate) fn render(settings: &Settings, arguments: &Arguments) -> String {
    let policy =
        EgressPolicy { allow: settings.egress_allow.clone(), own: settings.egress_deny.clone() };
    match arguments.format {
        Format::Json => json::render(&policy),
        Format::Nftables => nftables::render(&policy, &arguments.pass),
        Format::Kubernetes => kubernetes::render(&policy, &arguments.pass),
    }
}

/// What is known of a range: its row's name and source, where it is one.
fn remark(net: IpNet) -> String {
    let row = pulsetrail_domain::egress::RANGES.iter().find(|row| row.net == net);
    row.map_or_else(String::new, |row| format!("  # {} ({})", row.name, row.source))
}

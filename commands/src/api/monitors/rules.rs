//! What the installation says about a configuration: where it can be checked from, and whether its
//! target may be dialled.

use axum::http::StatusCode;
use pulsetrail_domain::Region;
use pulsetrail_domain::egress::Refusal;
use pulsetrail_domain::monitor::{MonitorConfig, Violation};
use pulsetrail_infra::http::Problem;

use super::super::InstallationRules;
use super::body::ParsedBody;
use super::egress;

/// What the installation has against a configuration.
#[derive(Debug)]
pub(super) struct Objection {
    /// What the caller is told: 422 with every mistake; its code is `egress_blocked` where the target is
    /// the only one.
    pub(super) problem: Problem,
    /// What the organization's log is told, where an address was refused.
    pub(super) refusal: Option<Refusal>,
}

/// Refuses regions that the installation does not have and targets that it does not dial. What the
/// configuration `before` says already is not judged again: a rule that has become stricter does not
/// keep anybody from renaming a monitor.
///
/// # Errors
/// The [`Objection`].
pub(super) fn judge(
    rules: &InstallationRules,
    parsed: &ParsedBody,
    before: Option<&MonitorConfig>,
) -> Result<(), Box<Objection>> {
    let config = &parsed.config;
    let had = |region: &Region| before.is_some_and(|before| before.regions.contains(region));
    let mut violations: Vec<Violation> = config
        .regions
        .iter()
        .enumerate()
        .filter(|(_, region)| !rules.regions.contains(region) && !had(region))
        .map(|(index, region)| {
            let detail = format!("there is no region {region:?} here", region = region.as_str());
            Violation::new(format!("/regions/{index}"), detail)
        })
        .collect();
    let regions_are_good = violations.is_empty();
    let mut refusal = None;
    if before.is_none_or(|before| before.target != config.target)
        && let Some(refused) = egress::refusal(&rules.egress, &config.target, parsed.url_pointer)
    {
        violations.push(Violation::new(refused.pointer, refused.verdict.to_string()));
        refusal = refused.verdict.refusal(&refused.url);
    }
    if violations.is_empty() {
        return Ok(());
    }
    let problem = if regions_are_good {
        let detail = "The target's address may not be dialled.";
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "egress_blocked", detail);
        Problem { errors: violations, ..problem }
    } else {
        Problem::invalid(violations)
    };
    Err(Box::new(Objection { problem, refusal }))
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::egress::EgressPolicy;
    use serde_json::{Value, json};

    use super::super::body;
    use super::*;

    fn rules(allow: &[&str]) -> InstallationRules {
        let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
        InstallationRules {
            regions: vec!["default".parse().unwrap(), "eu".parse().unwrap()],
            egress: EgressPolicy { allow, own: vec!["127.0.0.1:8080".parse().unwrap()] },
            registration_open: true,
            ..InstallationRules::default()
        }
    }

    fn refused(rules: &InstallationRules, body: Value) -> Option<(&'static str, Vec<String>)> {
        let Objection { problem, refusal } =
            *judge(rules, &body::read(body).unwrap(), None).err()?;
        assert_eq!(refusal.is_some(), problem.code == "egress_blocked");
        assert_eq!(problem.status, 422);
        let pointers = problem.errors.into_iter().map(|fault| fault.pointer).collect();
        Some((problem.code, pointers))
    }

    #[test]
    fn regions_that_the_installation_does_not_have_are_refused() {
        let body = json!({"url": "https://example.com", "regions": ["eu", "mars", "venus"]});
        let expected = vec!["/regions/1".to_owned(), "/regions/2".to_owned()];
        assert_eq!(refused(&rules(&[]), body), Some(("validation_failed", expected)));
    }

    #[test]
    fn addresses_that_are_not_to_be_dialled_are_refused() {
        let blocked = |pointer: &str| Some(("egress_blocked", vec![pointer.to_owned()]));
        for url in ["http://127.0.0.1", "http://2130706433/", "http://[::1]:80", "http://10.0.0.1"]
        {
            assert_eq!(refused(&rules(&[]), json!({"url": url})), blocked("/url"), "{url}");
        }
        let full = json!({"target": {"type": "http", "url": "http://169.254.169.254/latest"}});
        assert_eq!(refused(&rules(&[]), full), blocked("/target/url"));
        assert_eq!(refused(&rules(&[]), json!({"url": "http://93.184.216.34"})), None);
    }

    #[test]
    fn an_exception_lets_all_through_but_the_installation_itself() {
        let rules = rules(&["127.0.0.0/8"]);
        assert_eq!(refused(&rules, json!({"url": "http://127.0.0.1:9000"})), None);
        assert!(refused(&rules, json!({"url": "http://127.0.0.1:8080"})).is_some());
    }

    #[test]
    fn what_was_accepted_before_is_not_judged_again() {
        let before = json!({"url": "http://10.0.0.1", "regions": ["gone"]});
        let before = body::read(before).unwrap().config;
        let after = json!({"url": "http://10.0.0.1", "regions": ["gone", "mars"], "name": "new"});
        let after = body::read(after).unwrap();
        let Objection { problem, refusal } =
            *judge(&rules(&[]), &after, Some(&before)).unwrap_err();
        assert_eq!(refusal, None);
        assert_eq!(problem.errors.len(), 1);
        assert_eq!(problem.errors[0].pointer, "/regions/1");
    }
}
